package docker

// HolderImage lets tests use the one image that is always there as a server.
func HolderImage() Image { return holderImage() }

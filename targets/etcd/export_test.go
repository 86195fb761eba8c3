package etcd

import "github.com/capstan-dev/capstan/cluster/docker"

// Classify is the mapping of errors.
func Classify(err error) error { return classify(err) }

// LocalImage is the image that is built where there is no registry.
func LocalImage(topology string) docker.Image {
	img := image(topology)
	img.Ref = ""
	return img
}

package etcd

// Classify is the mapping of errors.
func Classify(err error) error { return classify(err) }

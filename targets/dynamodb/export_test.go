package dynamodb

// Classify is what calls' errors pass through.
func Classify(err error) error { return classify(err) }

// ReadEndpoint is the host and port of an endpoint.
func ReadEndpoint(endpoint string) (addr string, err error) {
	_, addr, err = readEndpoint(endpoint)
	return addr, err
}

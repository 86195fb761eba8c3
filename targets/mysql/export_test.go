package mysql

// Classify is the mapping of errors of a statement that commits by itself.
func Classify(err error) error { return classify(err) }

// ClassifyCommit is that of errors of COMMIT.
func ClassifyCommit(err error) error { return classifyCommit(err) }

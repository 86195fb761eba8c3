package log

// Parts reads a file in so many parts.
var Parts = parts

package config

import _ "embed"

// Sample is the documented sample file, every key at its default.
//
//go:embed monitor.sample.yaml
var Sample []byte

package web

import (
	"os"
	"testing"

	"github.com/planetlab/monitor/testbed/pglocal"
)

func TestMain(m *testing.M) { os.Exit(pglocal.Main(m, endShared)) }

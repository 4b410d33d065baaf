package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/testbed/debian"
)

// An image that cannot change under its name: its version, and the digest of what that was when it was chosen.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:(v?[0-9]|(debug-)?nonroot)[a-z0-9.-]*@sha256:[0-9a-f]{64}$`)

// No container of the example gets more than it needs: what is not said here is said in a comment beside the service.
func TestComposeGivesNoContainerMoreThanItNeeds(t *testing.T) {
	text, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image       string
			CapDrop     []string `yaml:"cap_drop"`
			SecurityOpt []string `yaml:"security_opt"`
			ReadOnly    bool     `yaml:"read_only"`
			PidsLimit   int      `yaml:"pids_limit"`
			Ports       []string
			Healthcheck map[string]any
			Restart     string
			DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
			Environment map[string]string
		}
		Secrets map[string]struct{ File string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil || len(file.Services) < 6 || len(file.Secrets) == 0 {
		t.Fatalf("%+v, %v", file, err)
	}
	ends := func(restart string) bool { return strings.HasPrefix(restart, "on-failure:") }
	writes := []string{"temporal-ui"} // its entry point writes its configuration below /home
	for name, s := range file.Services {
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") ||
			s.PidsLimit == 0 || s.Healthcheck["test"] == nil && !ends(s.Restart) {
			t.Errorf("%s: %+v", name, s)
		}
		if !s.ReadOnly && !slices.Contains(writes, name) {
			t.Errorf("%s may write to its image", name)
		}
		if s.Image != "" && !pinned.MatchString(s.Image) {
			t.Errorf("%s runs whichever %s there is", name, s.Image)
		}
		if strings.HasPrefix(s.Image, "temporalio/auto-setup") {
			t.Errorf("%s runs an image that is built no more", name)
		}
		for other, on := range s.DependsOn {
			if want := map[bool]string{true: "service_completed_successfully", false: "service_"}[ends(file.Services[other].Restart)]; !strings.HasPrefix(on.Condition, want) {
				t.Errorf("%s waits for %s to be %s", name, other, on.Condition)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s listens beyond this machine: %s", name, p)
			}
		}
		for key, value := range s.Environment {
			if strings.Contains(key, "PASSWORD") && !strings.HasSuffix(key, "_FILE") || strings.Contains(key, "PWD") ||
				strings.Contains(value, "://monitor:") {
				t.Errorf("%s has a secret in its environment: %s", name, key)
			}
		}
	}
}

func TestAWorkerIsAskedWhetherItIsWell(t *testing.T) {
	well := true
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !well || r.URL.Path != "/readyz" {
			http.Error(w, "postgres does not answer", http.StatusServiceUnavailable)
		}
	})
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c := config.Metrics{Listen: strings.TrimPrefix(server.URL, "http://")}
	if err := healthy(t.Context(), c); err != nil {
		t.Error(err)
	}
	c.Listen = fmt.Sprintf("0.0.0.0:%s", c.Listen[strings.LastIndexByte(c.Listen, ':')+1:])
	if err := healthy(t.Context(), c); err != nil {
		t.Error(err)
	}
	well = false
	if err := healthy(t.Context(), c); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
	server.Close()
	if err := healthy(t.Context(), c); err == nil {
		t.Error("nobody answers, and all is well")
	}
	if err := healthy(t.Context(), config.Metrics{}); err == nil {
		t.Error("nobody was asked, and all is well")
	}
}

// The containers run the same Temporal and the same Web UI as the tests do.
func TestComposeRunsTheVersionsOfTheTests(t *testing.T) {
	compose, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../dev/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for module, images := range map[string][]string{"go.temporal.io/server v": {"temporalio/server:", "temporalio/admin-tools:"},
		"github.com/temporalio/ui-server/v2 v": {"temporalio/ui:"}} {
		_, after, found := strings.Cut(string(mod), module)
		version, _, _ := strings.Cut(after, "\n")
		version, _, _ = strings.Cut(version, " ")
		if !found {
			t.Fatalf("dev/go.mod has no %s", module)
		}
		for _, image := range images {
			if !strings.Contains(string(compose), "image: "+image+version+"@") {
				t.Errorf("docker-compose.yml does not run %s%s", image, version)
			}
		}
	}
}

// Images are built from bases that do not change under their names, with the Go of go.mod.
func TestTheImagesAreBuiltFromPinnedOnes(t *testing.T) {
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	bases := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(string(dockerfile), -1)
	if len(bases) < 3 {
		t.Fatalf("%d bases", len(bases))
	}
	for _, base := range bases {
		if !pinned.MatchString(base[1]) {
			t.Errorf("the images are built from whichever %s there is", base[1])
		}
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)`).FindStringSubmatch(string(mod))
	if version == nil || !strings.HasPrefix(bases[0][1], "golang:"+version[1]+"-") {
		t.Errorf("go.mod asks for Go %v, and the images are built by %s", version, bases[0][1])
	}
}

// Nothing here runs containers; whether the file means what it says, Debian's Compose tells without them.
func TestComposeTakesTheFile(t *testing.T) {
	program := debian.Need(t, "docker-compose", "docker-compose")
	secrets := t.TempDir()
	if err := os.WriteFile(filepath.Join(secrets, "db_password"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-f", "../docker-compose.yml", "config", "--services")
	cmd.Env = append(os.Environ(), "MONITOR_SECRETS="+secrets)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "worker\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

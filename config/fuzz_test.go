package config

import "testing"

// Whatever a file holds, the reader answers with a configuration or a complaint.
func FuzzReadYAML(f *testing.F) {
	f.Add(string(Sample))
	for _, text := range []string{"plc:\n  url: [a, {b: c}]\n", "? a\n: b\n", "plc: &x\n  <<: *x\n", "!!str plc: |\n a\n", "- a\n", "plc:\n  password: !!binary aGk=\n", "probe: {port_map: {a: {b: c}}, ssh_ports: [[1]]}\n", "mail:\n  admins:\n  -\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg := Default()
		l := &loader{cfg: &cfg, where: map[string]string{}}
		l.begin()
		l.readYAML("fuzz.yaml", []byte(text))
		for _, err := range l.errs {
			if err == nil || err.Error() == "" {
				t.Errorf("an empty complaint about %q", text)
			}
		}
	})
}

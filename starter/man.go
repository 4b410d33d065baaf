package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// man writes the manual pages and the completions, for those who make packages.
func (a *app) man() *cobra.Command {
	return &cobra.Command{
		Use: "man FOLDER", Short: "Write the manual pages and the completions of shells", Args: takes("FOLDER"), Hidden: true,
		Long: "Write the manual pages and the completions of shells into a folder, as packages have them.", Example: "  monitor man share",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			files := map[string]func(path string) error{
				"bash-completion/completions/monitor":    func(p string) error { return root.GenBashCompletionFileV2(p, true) },
				"zsh/vendor-completions/_monitor":        root.GenZshCompletionFile,
				"fish/vendor_completions.d/monitor.fish": func(p string) error { return root.GenFishCompletionFile(p, true) },
				"man/man1/monitor.1":                     nil,
			}
			for name, write := range files {
				path := filepath.Join(args[0], name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return err
				}
				if write == nil {
					continue
				}
				if err := write(path); err != nil {
					return err
				}
			}
			return doc.GenManTree(root, &doc.GenManHeader{Title: "MONITOR", Section: "1", Source: "Monitor", Manual: "Monitor"},
				filepath.Join(args[0], "man", "man1"))
		},
	}
}

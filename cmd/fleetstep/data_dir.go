package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

var (
	accountRule = regexp.MustCompile(`^[0-9]{12}$`)
	regionRule  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	stackRule   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]{0,127}$`)
	hostRule    = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$`)
)

// check says all that is wrong with the flags.
func (l *local) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if net.ParseIP(l.host) == nil && !hostRule.MatchString(l.host) {
		wrong("--host %q is not an address: want an IP address or a name; 127.0.0.1 is this machine only", l.host)
	}
	if !accountRule.MatchString(l.account) {
		wrong("--account %q is not an AWS account: want twelve digits", l.account)
	}
	if !regionRule.MatchString(l.region) {
		wrong("--region %q is not an AWS region: want one such as us-east-1", l.region)
	}
	if !stackRule.MatchString(l.stack) {
		wrong("--stack %q is not a name of a stack: want a letter, then up to 127 letters, digits and hyphens",
			l.stack)
	}
	for _, p := range []struct {
		flag        string
		port, least int
	}{{"port", l.port, 0}, {"mqtt-port", l.mqttPort, -1}, {"mqtts-port", l.mqttsPort, -1}} {
		if p.port < p.least || p.port > 65535 {
			wrong("--%s %d is not a port: want %d to 65535", p.flag, p.port, p.least)
		}
	}
	taken := map[int]string{}
	for _, p := range []struct {
		flag string
		port int
	}{{"port", l.port}, {"mqtt-port", l.mqttPort}, {"mqtts-port", l.mqttsPort}} {
		if other := taken[p.port]; p.port > 0 && other != "" {
			wrong("--%s and --%s are both %d", other, p.flag, p.port)
		}
		taken[p.port] = p.flag
	}
	if info, err := os.Stat(l.lambdaDir); l.lambdaDir != "" && (err != nil || !info.IsDir()) {
		wrong("--lambda-dir %q is not a folder: want one with a folder for each function", l.lambdaDir)
	}
	if l.environments < 0 || l.environments > 1000 {
		wrong("--max-environments %d: want 1 to 1000, or 0 for the default", l.environments)
	}
	if l.dataDir == "" {
		wrong("--data-dir is empty: want a folder")
	}
	return errors.Join(errs...)
}

// private makes the data folder, or an existing one, accessible to its owner only, because
// it contains keys. It reports on w what it changes.
func private(dir string, w io.Writer) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if open := info.Mode().Perm() &^ 0o700; open != 0 {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, "store")); err != nil && len(entries) > 0 {
			return fmt.Errorf(
				"--data-dir %s is open to others (%v), and contains files that are not the local cloud's: name "+
					"another folder", dir, info.Mode().Perm())
		}
		if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs its x
			return fmt.Errorf("--data-dir %s is open to others (%v), and cannot be made private: %w", dir,
				info.Mode().Perm(), err)
		}
		fmt.Fprintf(w, "fleetstep: the data folder %s was open to others (%v); it is private now\n",
			dir, info.Mode().Perm())
	}
	return nil
}

// world is what a data folder belongs to.
type world struct{ Account, Region string }

var worldTable = store.NewTable[world]("fleetstep.world")

// sameWorld refuses a used folder of another account or region: ARNs of it are in
// everything that is stored.
func (l *local) sameWorld(db *store.DB, dir string) error {
	now := world{l.account, l.region}
	return db.Update(func(tx *store.Tx) error {
		was, ok, err := worldTable.Get(tx)
		if err != nil {
			return err
		}
		if ok && was != now {
			return fmt.Errorf(
				"%s belongs to account %s in %s, not to %s in %s: give --account %s --region %s, or another "+
					"--data-dir",
				dir, was.Account, was.Region, now.Account, now.Region, was.Account, was.Region)
		}
		if ok {
			return nil
		}
		return worldTable.Put(tx, now)
	})
}

func checkCommand(env *cli.Env) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the files of a local cloud that does not run",
		Long: `Reads everything in a data folder without changing it. Reports what is damaged or
missing, and how many records can be read. Exit code 1 if something is damaged or
missing.`,
		Args: cli.NoArgs,
		RunE: func(*cobra.Command, []string) error { return checkDataDir(dir, env.Out) },
	}
	c.Flags().StringVar(&dir, "data-dir", defaultDataDir(), "folder to check")
	return c
}

func checkDataDir(dir string, w io.Writer) error {
	path := filepath.Join(dir, "store")
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%s is not a data folder of a local cloud: %w", dir, err)
	}
	report, err := store.Check(path)
	if err != nil {
		return err
	}
	for _, line := range report.Damage {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "%d records of %d tables can be read\n", report.Records, report.Tables)
	if len(report.Damage) > 0 {
		return fmt.Errorf("%s is damaged: replace it by a copy of the folder, or by an empty folder", dir)
	}
	return nil
}

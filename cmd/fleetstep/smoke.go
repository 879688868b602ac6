package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetstep/fleetstep/infra"
	"github.com/fleetstep/fleetstep/internal/cli"
	"github.com/fleetstep/fleetstep/internal/doctor"
	"github.com/fleetstep/fleetstep/internal/smoke"
)

// smokeFlags are the flags of "fleetstep smoke".
type smokeFlags struct {
	stack, existing, lambdaDir, broker, ca, out string
	yes                                         bool
	patience                                    time.Duration
}

func smokeCommand(env *cli.Env) *cobra.Command {
	var f smokeFlags
	c := &cobra.Command{
		Use:   "smoke",
		Short: "Try a deployment on your own account: one device, one job, one campaign",
		Long: `Deploys a stack with a new name, connects one simulated agent to the account's
broker and upgrades it by one job, and then by one campaign. For each hop it prints
what it saw. It ends at the first hop that fails, with what to do. It removes
everything again, also after a failure or Ctrl-C. With --existing it tests an
existing stack, and removes only what it added.

It first lists what it will create, and asks, unless --yes is given. Exit code 0 if
every hop was passed and nothing was left behind.`,
		Example: `  fleetstep smoke --lambda-dir .build/lambda
  fleetstep smoke --existing fleetstep --yes --out smoke.json`,
		Args: cli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, env) },
	}
	c.Flags().StringVar(&f.stack, "stack", "", "name of the new stack (default: fleetstep-smoke- and six digits)")
	c.Flags().StringVar(&f.existing, "existing", "", "test this stack, and create none")
	c.Flags().StringVar(&f.lambdaDir, "lambda-dir", "",
		"folder with a bootstrap for each function (default: lambda beside this program)")
	c.Flags().StringVar(&f.broker, "broker", "", "mqtts://host:port (default: the account's endpoint, port 8883)")
	c.Flags().StringVar(&f.ca, "ca", "", "file of the CA that signs the broker's certificate (default: the machine's)")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().DurationVar(&f.patience, "patience", time.Minute,
		"how long one hop may take; the deployment may take ten times as long, what waits for the stack's clock "+
			"three minutes longer")
	c.Flags().StringVar(&f.out, "out", "", "write the report as JSON to this file, - for standard output")
	return c
}

func (f *smokeFlags) run(c *cobra.Command, env *cli.Env) error {
	if f.stack != "" && f.existing != "" {
		return cli.UsageError{Err: fmt.Errorf("--stack creates a stack, --existing uses one: give only one of them")}
	}
	if f.patience <= 0 {
		return cli.UsageError{Err: fmt.Errorf("--patience: %s; want more than 0", f.patience)}
	}
	config, err := env.Load(c.Context())
	if err != nil {
		return err
	}
	roots, err := rootCAs(f.ca)
	if err != nil {
		return err
	}
	random := make([]byte, 3)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	id := hex.EncodeToString(random)
	s := smoke.Config{
		AWS: config, Stack: f.existing, Existing: f.existing != "", Template: infra.Template,
		LambdaDir: findLambdas(f.lambdaDir), Broker: f.broker, RootCAs: roots, ID: id, Patience: f.patience,
		Clock: time.Minute,
		Now:   env.Now, Sleep: env.Sleep,
		Tell: func(h smoke.Hop) { tell(env, doctor.Finding{Check: h.Name, Level: h.Level, Seen: h.Seen, Do: h.Do}) },
	}
	if !s.Existing {
		if s.Stack = f.stack; s.Stack == "" {
			s.Stack = "fleetstep-smoke-" + id
		}
	}
	if err := announce(env, s); err != nil {
		return err
	}
	if !f.yes {
		fmt.Fprint(env.Out, "Continue? (yes) ")
		answer, err := bufio.NewReader(env.In).ReadString('\n')
		if strings.TrimSpace(answer) != "yes" {
			return fmt.Errorf("nothing was created: the answer was not yes%s", because(err))
		}
	}
	report, err := smoke.Run(c.Context(), s)
	if f.out != "" {
		b, failed := json.MarshalIndent(report, "", "  ")
		if failed != nil {
			return failed
		}
		if f.out == "-" {
			fmt.Fprintf(env.Out, "%s\n", b)
		} else if failed := os.WriteFile(f.out, append(b, '\n'), 0o644); failed != nil { //nolint:gosec // no secrets
			return failed
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("interrupted: %w", err)
	case !report.Passed:
		return fmt.Errorf("failed at %s", report.Failed)
	}
	fmt.Fprintf(env.Out, "passed in %.0f s\n", report.Seconds)
	return nil
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

// announce says what will be made, and about what it costs. Source: CloudWatch's prices of us-east-1, 2026-11: $0.10 a
// month for each metric of an alarm, by the hour.
func announce(env *cli.Env, s smoke.Config) error {
	fmt.Fprintf(env.Out, "In region %s this creates, and removes again:\n", s.AWS.Region)
	fmt.Fprintf(env.Out, "  thing smoke-%s with a certificate; two firmware images of 64 KiB; one job; one campaign; "+
		"three executions\n", s.ID)
	const lasts = "It takes about %d minutes, of which the campaign waits three for the stack's clock.\n"
	if s.Existing {
		fmt.Fprintf(env.Out, "  in the stack %s, which stays as it is\n"+lasts, s.Stack, 4)
		fmt.Fprintln(env.Out, "It costs less than $0.01.")
		return nil
	}
	kinds, err := smoke.Plan(s.Template)
	if err != nil {
		return err
	}
	total := 0
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		total += kinds[kind]
		list = append(list, fmt.Sprintf("%d %s", kinds[kind], strings.TrimPrefix(kind, "AWS::")))
	}
	fmt.Fprintf(env.Out, "  stack %s with %d resources:\n    %s\n", s.Stack, total, strings.Join(list, ", "))
	fmt.Fprintf(env.Out, "  bucket %s-code-<account> with the functions' code\n", s.Stack)
	fmt.Fprintln(env.Out, "It leaves one setting of the account on: AWS IoT's events of jobs and job executions.")
	fmt.Fprintf(env.Out, lasts, 10)
	fmt.Fprintln(env.Out, "It costs less than $0.05: alarms by the hour; all else is below a cent.")
	return nil
}

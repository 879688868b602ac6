package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func deadletter(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "deadletter",
		Short: "List, show, redrive and delete messages that nobody could process",
		Long: `Reads the two dead-letter queues of a stack. They have the messages that were
received from a queue too often (those of devices, twenty times), and the events that a rule
could not deliver or that a function failed to handle three times. Remove the cause first; "show" prints
it.`,
	}
	Group(c)
	c.AddCommand(deadletterList(env), deadletterShow(env), deadletterRedrive(env), deadletterDelete(env))
	return c
}

func stackFlag(c *cobra.Command, stack *string) {
	c.Flags().StringVar(stack, "stack", "fleetstep", "name of the deployed stack")
}

func deadletterList(env *Env) *cobra.Command {
	var stack string
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List dead letters, the oldest first",
		Example: `  fleetstep deadletter list`,
		Args:    NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := env.letters(c.Context(), stack)
			if err != nil {
				return err
			}
			if asJSON {
				return env.json(append([]letter{}, list...))
			}
			w := tabwriter.NewWriter(env.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "LETTER\tFROM\tTHING\tSENT\tWHY")
			for _, l := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.ID, l.From, orDash(l.Thing),
					l.Sent.Format("2006-01-02 15:04:05"),
					orDash(firstLine(l.Why)))
			}
			return w.Flush()
		},
	}
	stackFlag(c, &stack)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the bodies")
	return c
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	if r := []rune(line); len(r) > 100 {
		return string(r[:100]) + "..."
	}
	return line
}

func deadletterShow(env *Env) *cobra.Command {
	var stack string
	var asJSON bool
	c := &cobra.Command{
		Use:     "show LETTER",
		Short:   "Show a dead letter, by the beginning of its id",
		Example: `  fleetstep deadletter show 2f6a1c0e`,
		Args:    oneLetter,
		RunE: func(c *cobra.Command, args []string) error {
			list, err := env.letters(c.Context(), stack)
			if err != nil {
				return err
			}
			l, err := find(list, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return env.json(l)
			}
			w := tabwriter.NewWriter(env.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "letter\t%s\nfrom\t%s\nthing\t%s\nsent\t%s\nwhy\t%s\n", l.ID, l.From, orDash(l.Thing),
				l.Sent.Format("2006-01-02 15:04:05.000"), orDash(l.Why))
			for _, name := range slices.Sorted(maps.Keys(l.Attributes)) {
				fmt.Fprintf(w, "%s\t%s\n", name, l.Attributes[name])
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if json.Valid([]byte(l.Body)) {
				return env.json(json.RawMessage(l.Body))
			}
			_, err = fmt.Fprintln(env.Out, l.Body)
			return err
		},
	}
	stackFlag(c, &stack)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// oneLetter wants exactly one argument, the letter's id.
func oneLetter(c *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return UsageError{fmt.Errorf("%s takes one argument, the id of a letter or its beginning (see %s --help)",
			c.CommandPath(), c.CommandPath())}
	}
	return nil
}

// redriven is what became of dead letters.
type redriven struct {
	Moved   int64      `json:"moved"`   // back to the queues that they came from
	Invoked int        `json:"invoked"` // events of functions
	Stay    []leftover `json:"stay"`
}

type leftover struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

func deadletterRedrive(env *Env) *cobra.Command {
	var stack string
	var rate int32
	var asJSON bool
	c := &cobra.Command{
		Use:   "redrive [LETTER...]",
		Short: "Process dead letters again: all, or those that are named",
		Long: `Processes dead letters again. A message of a queue goes back to its queue, moved by
SQS. An event that a function failed to handle, or that a rule could not hand to its
function, is given to the function again. Processing a message twice does no harm.
Letters that cannot be processed again stay, with the reason, and the exit code is
1.`,
		Example: `  fleetstep deadletter redrive --rate 50
  fleetstep deadletter redrive 2f6a1c0e`,
		RunE: func(c *cobra.Command, args []string) error {
			if rate < 0 || rate > 500 {
				return UsageError{fmt.Errorf("--rate: %d; 1 to 500, or 0 for as fast as SQS can", rate)}
			}
			p, err := env.post(c.Context(), stack)
			if err != nil {
				return err
			}
			list, err := p.letters(c.Context())
			if err != nil {
				return errors.Join(err, p.giveBack(c.Context(), list))
			}
			done, err := p.redrive(c, list, args, rate)
			if err != nil {
				return err
			}
			if asJSON {
				err = env.json(done)
			} else {
				for _, l := range done.Stay {
					fmt.Fprintf(env.Out, "letter %s stays: %s\n", l.ID, l.Why)
				}
				_, err = fmt.Fprintf(env.Out, "%d back in their queues, %d given to their functions again, %d stay\n",
					done.Moved, done.Invoked, len(done.Stay))
			}
			if err == nil && len(done.Stay) > 0 {
				err = ErrFailed
			}
			return err
		},
	}
	stackFlag(c, &stack)
	c.Flags().Int32Var(&rate, "rate", 0,
		"messages a second that go back to their queues, at most; 0: as fast as SQS can")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// redrive has letters that were taken out processed again, all if none is named, and
// gives back the others.
func (p *post) redrive(c *cobra.Command, list []letter, names []string, rate int32) (done redriven, err error) {
	done.Stay = []leftover{}
	chosen := list
	if len(names) > 0 {
		chosen = nil
		for _, name := range names {
			l, err := find(list, name)
			if err != nil {
				return done, errors.Join(err, p.giveBack(c.Context(), list))
			}
			chosen = append(chosen, l)
		}
	}
	var kept []letter
	all, queued := len(names) == 0, false
	for _, l := range list {
		switch {
		case !slices.ContainsFunc(chosen, func(x letter) bool { return x.ID == l.ID }):
			kept = append(kept, l)
		case all && l.source != "": // SQS moves them, beyond mostLetters too
			queued, kept = true, append(kept, l)
		default:
			if err := p.reprocess(c.Context(), l); err != nil {
				done.Stay, kept = append(done.Stay, leftover{l.ID, err.Error()}), append(kept, l)
				continue
			}
			if l.source != "" {
				done.Moved++
			} else {
				done.Invoked++
			}
		}
	}
	if err := p.giveBack(c.Context(), kept); err != nil {
		return done, err
	}
	if queued {
		done.Moved, err = p.move(c.Context(), rate)
	}
	return done, err
}

func deadletterDelete(env *Env) *cobra.Command {
	var stack string
	c := &cobra.Command{
		Use:     "delete LETTER...",
		Short:   "Delete dead letters that are no longer needed",
		Example: `  fleetstep deadletter delete 2f6a1c0e`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return UsageError{fmt.Errorf("%s takes ids of letters or their beginnings (see %s --help)",
					c.CommandPath(), c.CommandPath())}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			p, err := env.post(c.Context(), stack)
			if err != nil {
				return err
			}
			list, err := p.letters(c.Context())
			var errs []error
			errs = append(errs, err)
			for _, name := range args {
				l, err := find(list, name)
				if err == nil {
					err = p.remove(c.Context(), l)
				}
				if err == nil {
					list = slices.DeleteFunc(list, func(x letter) bool { return x.ID == l.ID })
				}
				errs = append(errs, err)
			}
			return errors.Join(append(errs, p.giveBack(c.Context(), list))...)
		},
	}
	stackFlag(c, &stack)
	return c
}

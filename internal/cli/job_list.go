package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/spf13/cobra"
)

func jobList(env *Env) *cobra.Command {
	var status string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the jobs of the account and region",
		Example: `  fleetstep job list
  fleetstep job list --status IN_PROGRESS`,
		Args: NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := env.iot(c.Context())
			if err != nil {
				return err
			}
			jobs := []types.JobSummary{}
			in := &iot.ListJobsInput{Status: types.JobStatus(strings.ToUpper(status))}
			pages := iot.NewListJobsPaginator(api, in)
			for pages.HasMorePages() {
				page, err := pages.NextPage(c.Context())
				if err != nil {
					return err
				}
				jobs = append(jobs, page.Jobs...)
			}
			if asJSON {
				return env.json(jobs)
			}
			w := tabwriter.NewWriter(env.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "JOB\tSTATUS\tCREATED\tCOMPLETED")
			for _, j := range jobs {
				completed := "-"
				if j.CompletedAt != nil {
					completed = j.CompletedAt.UTC().Format("2006-01-02 15:04:05")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", aws.ToString(j.JobId), j.Status, aws.ToTime(j.CreatedAt).UTC().
					Format("2006-01-02 15:04:05"), completed)
			}
			return w.Flush()
		},
	}
	c.Flags().StringVar(&status, "status", "",
		"only jobs of this status: SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED, DELETION_IN_PROGRESS")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

package cli

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/spf13/cobra"
)

func jobCancel(env *Env) *cobra.Command {
	var force bool
	var comment string
	c := &cobra.Command{
		Use:   "cancel JOB",
		Short: "Stop a job: no further device begins",
		Long: `Cancels a job. Devices that have not begun do not begin. Devices at work get no
further command to download or to activate; an image that was already activated is
verified.

--force also ends the workflows of devices at work, and leaves these devices as
they are.`,
		Example: `  fleetstep job cancel fw-2-0-0-7a57f8c2b3c01f4e --comment "too many failures on model X"
  fleetstep job cancel fw-2-0-0-7a57f8c2b3c01f4e --force`,
		Args: oneJob,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := env.iot(c.Context())
			if err != nil {
				return err
			}
			in := &iot.CancelJobInput{JobId: &args[0], Force: force}
			if comment != "" {
				in.Comment = aws.String(comment)
			}
			if _, err := api.CancelJob(c.Context(), in); err != nil {
				return err
			}
			fmt.Fprintf(env.Out, "job %s is being canceled; follow it with: fleetstep job watch %s\n",
				args[0], args[0])
			return nil
		},
	}
	c.Flags().BoolVar(&force, "force", false, "also end the workflows of devices at work")
	c.Flags().StringVar(&comment, "comment", "", "reason, for the record")
	return c
}

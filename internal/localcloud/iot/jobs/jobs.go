package jobs

import (
	"context"
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/iot/jobs/configuration"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

const (
	maxTargets  = 100
	maxDeleting = 10
)

func (s *Service) createJob(ctx context.Context, call *awsapi.Call, in *createIn) (*jobOut, error) {
	if err := checkID("jobId", in.JobID); err != nil {
		return nil, err
	}
	switch {
	case in.NamespaceID != "":
		return nil, awsapi.NotBuilt("CreateJob with namespaceId")
	case len(in.DocumentParameters) > 0:
		return nil, awsapi.NotBuilt("CreateJob with documentParameters")
	case len(in.DestinationPackageVersions) > 0:
		return nil, awsapi.NotBuilt("CreateJob with destinationPackageVersions")
	}
	if in.JobTemplateARN != "" {
		t, err := s.templateByARN(in.JobTemplateARN)
		if err != nil {
			return nil, err
		}
		if in.Document != "" || in.DocumentSource != "" {
			return nil, invalid("A job made from a template cannot have a document or documentSource of its own.")
		}
		in.Document, in.DocumentSource = t.Document, t.DocumentSource
		if in.Description == "" {
			in.Description = t.Description
		}
		in.Fill(t.Settings)
	} else if (in.Document == "") == (in.DocumentSource == "") {
		return nil, invalid("Exactly one of document and documentSource is required.")
	}
	if err := checkText("description", in.Description); err != nil {
		return nil, err
	}
	if err := refusal(in.Check()); err != nil {
		return nil, err
	}
	if in.Document == "" {
		var err error
		if in.Document, err = s.fetch(ctx, call.Identity, in.DocumentSource); err != nil {
			return nil, err
		}
	}
	if err := checkDocument(in.Document, in.PresignedURLConfig); err != nil {
		return nil, err
	}
	if err := passRole(ctx, call, in.PresignedURLConfig); err != nil {
		return nil, err
	}
	// "Without ... iot:TagResource, the CreateStream API call will return an AccessDenied" (AWS IoT Developer Guide,
	// "Prerequisites" of file delivery; "Create a fleet metric" says the same; read 2026-11): of jobs too, we take it.
	if len(in.Tags) > 0 {
		if err := call.Authorize(ctx, "iot:TagResource", s.jobARN(in.JobID), nil); err != nil {
			return nil, err
		}
	}
	now := s.sched.Now()
	j := job{
		ID: in.JobID, Status: InProgress, Selection: in.TargetSelection, Targets: in.Targets,
		Description: in.Description, DocumentSource: in.DocumentSource, TemplateARN: in.JobTemplateARN,
		Created: millis(now), Updated: millis(now),
	}
	j.configure(in.Settings)
	if j.Selection == "" {
		j.Selection = snapshotSelection
	}
	if in.SchedulingConfig != nil && len(in.SchedulingConfig.MaintenanceWindows) > 0 {
		return nil, awsapi.NotBuilt("schedulingConfig.maintenanceWindows")
	}
	schedule, err := in.SchedulingConfig.Schedule(now)
	if err != nil {
		return nil, refusal(err)
	}
	j.Scheduling, j.Start, j.End = schedule.Config, millis(schedule.Start), millis(schedule.End)
	err = s.change(func(c *change) error {
		if _, taken, err := jobTable.Get(c.tx, j.ID); err != nil {
			return err
		} else if taken {
			return exists(j.ID, s.jobARN(j.ID), "Job %s already exists.", j.ID)
		}
		if err := c.checkTargets(in.Targets); err != nil {
			return err
		}
		if len(in.Tags) > 0 {
			if err := s.config.Registry.Tag(c.tx, s.jobARN(j.ID), tagMap(in.Tags)); err != nil {
				return err
			}
		}
		if err := documentTable.Put(c.tx, []byte(in.Document), j.ID); err != nil {
			return err
		}
		if err := jobOrder.Put(c.tx, mark{}, newest(j.Created), j.ID); err != nil {
			return err
		}
		l := c.add(j)
		if j.Start > j.Created {
			l.Status = Scheduled
			c.next(l, starting, j.Start)
		} else {
			c.next(l, resolving, j.Created)
		}
		return c.openGroups(l)
	})
	if err != nil {
		return nil, err
	}
	return &jobOut{JobARN: s.jobARN(j.ID), JobID: j.ID, Description: j.Description}, nil
}

func (c *change) checkTargets(targets []string) error {
	if n := len(targets); n < 1 || n > maxTargets {
		return invalid("targets has %d entries; allowed are 1 to %d.", n, maxTargets)
	}
	for _, arn := range targets {
		kind, name := resourceOf(arn)
		var ok bool
		var err error
		switch kind {
		case "thing":
			ok, err = c.s.config.Registry.HasThing(c.tx, name)
		case "thinggroup":
			ok, err = c.s.config.Registry.HasGroup(c.tx, name)
		default:
			return invalid("Target %q is not the ARN of a thing or thing group.", arn)
		}
		if err != nil {
			return err
		}
		if !ok || arn != c.s.arn(kind+"/"+name) {
			return notFound("Target %s does not exist.", arn)
		}
	}
	return nil
}

func (j *job) concurrent() bool {
	return j.Work == resolving || j.Work == rollingOut || j.Work == canceling || j.Work == ending
}

func (s *Service) describeJob(_ context.Context, _ *awsapi.Call, in *jobIn) (*describeOut, error) {
	j, t, err := s.read(in.JobID)
	if err != nil {
		return nil, err
	}
	v := &jobView{
		JobARN: s.jobARN(j.ID), JobID: j.ID, TargetSelection: j.Selection, Status: j.Status,
		ForceCanceled: j.ForceCanceled, ReasonCode: j.ReasonCode, Comment: j.Comment, Targets: j.Targets,
		Description: j.Description, CreatedAt: shown(j.Created), LastUpdatedAt: shown(j.Updated),
		CompletedAt: shown(j.Completed), JobTemplateARN: j.TemplateARN, IsConcurrent: j.concurrent(),
		SchedulingConfig: j.Scheduling, Settings: j.settings(), JobProcessDetails: &processView{
			NumberOfCanceledThings: t.By[Canceled], NumberOfSucceededThings: t.By[Succeeded],
			NumberOfFailedThings: t.By[Failed], NumberOfRejectedThings: t.By[Rejected],
			NumberOfQueuedThings: t.By[Queued], NumberOfInProgressThings: t.By[InProgress],
			NumberOfRemovedThings: t.By[Removed], NumberOfTimedOutThings: t.By[TimedOut],
		},
	}
	if v.TimeoutConfig == nil {
		v.TimeoutConfig = &configuration.Timeout{} // as AWS writes that there is none
	}
	if j.Work == resolving {
		v.JobProcessDetails.ProcessingTargets = j.Targets[j.ResolveTarget:]
	}
	return &describeOut{DocumentSource: j.DocumentSource, Job: v}, nil
}

func (s *Service) listJobs(_ context.Context, _ *awsapi.Call, in *listJobsIn) (*listJobsOut, error) {
	if in.NamespaceID != "" || in.ThingGroupID != "" {
		return nil, awsapi.NotBuilt("ListJobs with namespaceId or thingGroupId")
	}
	p, err := newPage(in.MaxResults, in.NextToken, 2)
	if err != nil {
		return nil, err
	}
	table, q := jobOrder, store.Query{}
	if in.Status != "" {
		table, q.Prefix = jobByStatus, []string{in.Status}
	}
	out := &listJobsOut{}
	group := s.arn("thinggroup/" + in.ThingGroupName)
	err = s.db.View(func(tx *store.Tx) (err error) {
		out.Jobs, out.NextToken, err = list(tx, table, q, p, func(row store.Row[mark]) (jobSummary, bool, error) {
			j, ok, err := jobTable.Get(tx, row.Key[len(row.Key)-1])
			return jobSummary{
					JobARN: s.jobARN(j.ID), JobID: j.ID, TargetSelection: j.Selection, Status: j.Status,
					IsConcurrent: j.concurrent(), CreatedAt: shown(j.Created), LastUpdatedAt: shown(j.Updated),
					CompletedAt: shown(j.Completed),
				}, ok && (in.TargetSelection == "" || j.Selection == in.TargetSelection) &&
					(in.ThingGroupName == "" || slices.Contains(j.Targets, group)), err
		})
		return err
	})
	return out, err
}

// edit changes one job.
func (s *Service) edit(id string, fn func(c *change, j *loaded) error) error {
	return s.change(func(c *change) error {
		j, err := c.job(id)
		if err != nil {
			return err
		}
		if j == nil {
			return noJob(id)
		}
		j.dirty = true
		return fn(c, j)
	})
}

func (s *Service) updateJob(ctx context.Context, call *awsapi.Call, in *updateIn) (*empty, error) {
	if in.NamespaceID != "" {
		return nil, awsapi.NotBuilt("UpdateJob with namespaceId")
	}
	if in.Description != nil {
		if err := checkText("description", *in.Description); err != nil {
			return nil, err
		}
	}
	if err := passRole(ctx, call, in.PresignedURLConfig); err != nil {
		return nil, err
	}
	return &empty{}, s.edit(in.JobID, func(c *change, j *loaded) error {
		if j.Status != Scheduled && j.Status != InProgress {
			return invalid("Job %s in status %s cannot be updated.", j.ID, j.Status)
		}
		merged := in.Settings
		merged.Fill(j.settings())
		if err := refusal(merged.Check()); err != nil {
			return err
		}
		j.configure(merged)
		if in.Description != nil {
			j.Description = *in.Description
		}
		j.Updated = c.ms
		return nil
	})
}

func (s *Service) cancelJob(_ context.Context, _ *awsapi.Call, in *cancelIn) (*jobOut, error) {
	if in.ReasonCode != "" && !reasonPattern.MatchString(in.ReasonCode) {
		return nil, invalid("reasonCode %q must be 1 to 128 characters of A-Z, 0-9 and _.", in.ReasonCode)
	}
	if err := checkText("comment", in.Comment); err != nil {
		return nil, err
	}
	var out *jobOut
	err := s.edit(in.JobID, func(c *change, j *loaded) error {
		out = &jobOut{JobARN: s.jobARN(j.ID), JobID: j.ID, Description: j.Description}
		switch {
		case j.Status == Scheduled || j.Status == InProgress:
			return c.cancel(j, in.ReasonCode, in.Comment, in.Force)
		case j.Status == Canceled && in.Force && !j.ForceCanceled && j.active() > 0:
			return c.cancel(j, in.ReasonCode, in.Comment, true)
		default:
			return invalid("Job %s is %s and cannot be canceled.", j.ID, j.Status)
		}
	})
	return out, err
}

func (s *Service) deleteJob(_ context.Context, _ *awsapi.Call, in *deleteIn) (*empty, error) {
	if in.NamespaceID != "" {
		return nil, awsapi.NotBuilt("DeleteJob with namespaceId")
	}
	return &empty{}, s.edit(in.JobID, func(c *change, j *loaded) error {
		if j.Status == DeletionInProgress {
			return nil
		}
		if j.Status != Completed && j.Status != Canceled && !in.Force {
			return badTransition("Job %s is %s; it can be deleted only when it is COMPLETED or CANCELED, or with "+
				"force.", j.ID, j.Status)
		}
		under := 0
		for _, err := range jobByStatus.Scan(c.tx, store.Query{Prefix: []string{DeletionInProgress}}) {
			if err != nil {
				return err
			}
			under++
		}
		if under >= maxDeleting {
			return limitExceeded("%d jobs are being deleted; at most %d are allowed.", under, maxDeleting)
		}
		j.Status, j.Updated = DeletionInProgress, c.ms
		c.next(j, deleting, c.ms)
		if err := c.stopTaking(j); err != nil {
			return err
		}
		return c.jobEvent(j, "deletion_in_progress")
	})
}

func (s *Service) getJobDocument(_ context.Context, _ *awsapi.Call, in *jobIn) (*documentOut, error) {
	out := &documentOut{}
	err := s.db.View(func(tx *store.Tx) error {
		b, ok, err := documentTable.Get(tx, in.JobID)
		if err == nil && !ok {
			return noJob(in.JobID)
		}
		out.Document = string(b)
		return err
	})
	return out, err
}

func (s *Service) associateTargets(_ context.Context, _ *awsapi.Call, in *associateIn) (*jobOut, error) {
	if in.NamespaceID != "" {
		return nil, awsapi.NotBuilt("AssociateTargetsWithJob with namespaceId")
	}
	if err := checkText("comment", in.Comment); err != nil {
		return nil, err
	}
	var out *jobOut
	err := s.edit(in.JobID, func(c *change, j *loaded) error {
		if !j.continuous() || j.Status != InProgress || j.Ended {
			return invalid("Targets can be associated only with a continuous job that is IN_PROGRESS.")
		}
		if err := c.checkTargets(in.Targets); err != nil {
			return err
		}
		targets := j.Targets
		for _, t := range in.Targets {
			if !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
		if len(targets) > maxTargets {
			return limitExceeded("Job %s would have %d targets; at most %d are allowed.", j.ID, len(targets),
				maxTargets)
		}
		out = &jobOut{JobARN: s.jobARN(j.ID), JobID: j.ID, Description: j.Description}
		j.Targets, j.Updated = targets, c.ms
		if in.Comment != "" {
			j.Comment = in.Comment
		}
		if j.Work == resting || j.Work == rollingOut {
			c.next(j, resolving, c.ms)
		}
		return c.openGroups(j)
	})
	return out, err
}

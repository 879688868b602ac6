package jobs

import (
	"context"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// maxTemplates is the account quota.
const maxTemplates = 100

func (s *Service) createTemplate(ctx context.Context, call *awsapi.Call,
	in *createTemplateIn) (*createTemplateOut, error) {
	if err := checkID("jobTemplateId", in.JobTemplateID); err != nil {
		return nil, err
	}
	if len(in.MaintenanceWindows) > 0 || len(in.DestinationPackageVersions) > 0 {
		return nil, awsapi.NotBuilt("CreateJobTemplate with maintenanceWindows or destinationPackageVersions")
	}
	if in.Description == "" {
		return nil, invalid("description is required.")
	}
	if err := checkText("description", in.Description); err != nil {
		return nil, err
	}
	given := 0
	for _, text := range []string{in.JobARN, in.Document, in.DocumentSource} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		return nil, invalid("Exactly one of jobArn, document and documentSource is required.")
	}
	t := template{Description: in.Description, Document: in.Document, DocumentSource: in.DocumentSource,
		Created: millis(s.sched.Now()), Settings: in.Settings}
	switch {
	case in.JobARN != "":
		_, id := resourceOf(in.JobARN)
		j, _, err := s.read(id)
		if err != nil {
			return nil, err
		}
		d, err := s.getJobDocument(ctx, call, &jobIn{JobID: id})
		if err != nil {
			return nil, err
		}
		t.Document, t.DocumentSource = d.Document, j.DocumentSource
		t.Fill(j.settings())
		if t.DocumentSource != "" {
			t.Document = ""
		}
	case in.DocumentSource != "":
		document, err := s.fetch(ctx, call.Identity, in.DocumentSource)
		if err != nil {
			return nil, err
		}
		if err := checkDocument(document, t.PresignedURLConfig); err != nil {
			return nil, err
		}
	}
	if t.Document != "" {
		if err := checkDocument(t.Document, t.PresignedURLConfig); err != nil {
			return nil, err
		}
	}
	if err := refusal(t.Check()); err != nil {
		return nil, err
	}
	if err := passRole(ctx, call, t.PresignedURLConfig); err != nil {
		return nil, err
	}
	arn := s.arn("jobtemplate/" + in.JobTemplateID)
	err := s.db.Update(func(tx *store.Tx) error {
		if _, taken, err := templateTable.Get(tx, in.JobTemplateID); err != nil {
			return err
		} else if taken {
			return &awsapi.Error{Code: "ConflictException", Status: 409, Message: "Job template " + in.JobTemplateID +
				" already exists.",
				Fields: map[string]any{"resourceId": in.JobTemplateID}}
		}
		n := 0
		for _, err := range templateTable.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			n++
		}
		if n >= maxTemplates {
			return limitExceeded("The account has %d job templates; at most %d are allowed.", n, maxTemplates)
		}
		if len(in.Tags) > 0 {
			if err := s.config.Registry.Tag(tx, arn, tagMap(in.Tags)); err != nil {
				return err
			}
		}
		return templateTable.Put(tx, t, in.JobTemplateID)
	})
	if err != nil {
		return nil, err
	}
	return &createTemplateOut{JobTemplateARN: arn, JobTemplateID: in.JobTemplateID}, nil
}

func (s *Service) describeTemplate(_ context.Context, _ *awsapi.Call, in *templateIn) (*templateView, error) {
	t, err := s.templateByARN(s.arn("jobtemplate/" + in.JobTemplateID))
	if err != nil {
		return nil, err
	}
	return &templateView{
		JobTemplateARN: s.arn("jobtemplate/" + in.JobTemplateID), JobTemplateID: in.JobTemplateID,
		Description:    t.Description,
		DocumentSource: t.DocumentSource, Document: t.Document, CreatedAt: shown(t.Created),
		Settings: t.Settings,
	}, nil
}

func (s *Service) listTemplates(_ context.Context, _ *awsapi.Call, in *listTemplatesIn) (*listTemplatesOut, error) {
	p, err := newPage(in.MaxResults, in.NextToken, 1)
	if err != nil {
		return nil, err
	}
	out := &listTemplatesOut{}
	err = s.db.View(func(tx *store.Tx) (err error) {
		out.JobTemplates, out.NextToken, err = list(tx, templateTable, store.Query{}, p,
			func(row store.Row[template]) (templateSummary, bool, error) {
				return templateSummary{
					JobTemplateARN: s.arn("jobtemplate/" + row.Key[0]), JobTemplateID: row.Key[0],
					Description: row.Value.Description, CreatedAt: shown(row.Value.Created),
				}, true, nil
			})
		return err
	})
	return out, err
}

func (s *Service) deleteTemplate(_ context.Context, _ *awsapi.Call, in *templateIn) (*empty, error) {
	return &empty{}, s.db.Update(func(tx *store.Tx) error {
		if _, ok, err := templateTable.Get(tx, in.JobTemplateID); err != nil {
			return err
		} else if !ok {
			return notFound("Job template %s cannot be found.", in.JobTemplateID)
		}
		if err := s.config.Registry.Untag(tx, s.arn("jobtemplate/"+in.JobTemplateID)); err != nil {
			return err
		}
		return templateTable.Delete(tx, in.JobTemplateID)
	})
}

package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fleetstep/fleetstep/internal/localcloud/awsapi"
)

type code struct {
	ZipFile         []byte `json:"ZipFile,omitempty"`
	S3Bucket        string `json:"S3Bucket,omitempty" api:"min=3,max=63,pattern=code bucket"`
	S3Key           string `json:"S3Key,omitempty" api:"min=1,max=1024"`
	S3ObjectVersion string `json:"S3ObjectVersion,omitempty" api:"min=1,max=1024"`
	ImageURI        string `json:"ImageUri,omitempty"`
}

// setCode finds or unpacks a function's code.
func (s *Service) setCode(ctx context.Context, c *awsapi.Call, f *Function, in code) error {
	if in.ImageURI != "" {
		return awsapi.NotBuilt("Lambda container images (Code.ImageUri)")
	}
	if in.S3Key != "" && s.Assets != nil {
		if name, ok := s.Assets(in.S3Key); ok {
			sum := sha256.Sum256([]byte(name + in.S3ObjectVersion))
			f.Asset, f.CodeDir = name, ""
			f.CodeSHA256 = base64.StdEncoding.EncodeToString(sum[:])
			return nil
		}
	}
	archive := in.ZipFile
	switch {
	case in.S3Bucket != "" && in.S3Key != "":
		var object struct{ Body []byte }
		input := map[string]string{"Bucket": in.S3Bucket, "Key": in.S3Key}
		if in.S3ObjectVersion != "" {
			input["VersionId"] = in.S3ObjectVersion
		}
		if err := awsapi.CallInto(ctx, s.Caller, c.Identity, "s3", "GetObject", input, &object); err != nil {
			return errInvalidParameter("Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s",
				awsapi.Code(err), awsapi.AsError(err).Message)
		}
		archive = object.Body
	case len(archive) == 0:
		return errInvalidParameter("Code: give ZipFile, or S3Bucket and S3Key")
	}
	if s.CodeDir == "" {
		return errInvalidParameter("this cloud has no folder for the code of functions")
	}
	sum := sha256.Sum256(archive)
	dir := filepath.Join(s.CodeDir, f.Name, fmt.Sprintf("%x", sum[:12]))
	if err := unpack(archive, dir); err != nil {
		return errInvalidParameter(
			"Could not unzip uploaded file. Please check your file, then try to upload again. (%v)", err)
	}
	f.Asset, f.CodeDir, f.CodeSize = "", dir, int64(len(archive))
	f.CodeSHA256 = base64.StdEncoding.EncodeToString(sum[:])
	return nil
}

// maxUnpacked is Lambda's limit for an unpacked deployment package.
const maxUnpacked = 250 << 20

func unpack(archive []byte, dir string) error {
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return err
	}
	left := int64(maxUnpacked)
	for _, file := range z.File {
		if !filepath.IsLocal(file.Name) {
			return fmt.Errorf("%q leads out of the package", file.Name)
		}
		path := filepath.Join(dir, file.Name)
		if file.FileInfo().IsDir() {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		n, err := unpackFile(file, path, left)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func unpackFile(file *zip.File, path string, limit int64) (n int64, err error) {
	r, err := file.Open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	// Unpacked by the owner only; everything is executable, as a zip made on
	// another system may have lost the mode bits.
	w, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(w, io.LimitReader(r, limit+1))
	if e := w.Close(); err == nil {
		err = e
	}
	if err == nil && n > limit {
		err = fmt.Errorf("unzipped size must be smaller than %d bytes", maxUnpacked)
	}
	return n, err
}

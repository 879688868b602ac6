package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxSize is the largest job document, in bytes.
const maxSize = 32768

// NotBuilt is the error of a placeholder of AWS's that is not built here, and names it.
type NotBuilt string

func (e NotBuilt) Error() string { return string(e) + " is not built" }

// Object is an object in S3, of a version if that is given.
type Object struct{ Bucket, Key, Version string }

// Piece is a part of a job document: text, or a placeholder for a presigned URL.
type Piece struct {
	Text   string  // "" for a placeholder
	Object *Object // what the URL is for, nil for text
	Upload bool    // the URL is for writing
}

const (
	opening = "${aws:iot:"

	download   = "s3-presigned-url"
	downloadV1 = "s3-presigned-url-v1"
	downloadV2 = "s3-presigned-url-v2"
	upload     = "s3-presigned-url-upload"
	signature  = "code-sign-signature"
)

// Check refuses a document that no device could be given. signs says whether there is a role to sign URLs with.
func Check(text string, signs bool) error {
	if len(text) == 0 || len(text) > maxSize {
		return fmt.Errorf("The job document has %d bytes; allowed are 1 to %d.", len(text), maxSize)
	}
	if !json.Valid([]byte(text)) {
		return errors.New("The job document is not valid JSON.")
	}
	pieces, err := Split(text)
	if err != nil {
		return err
	}
	if len(pieces) > 1 && !signs {
		return errors.New("The job document has presigned URL placeholders, but presignedUrlConfig has no roleArn.")
	}
	return nil
}

// Split cuts a document at its placeholders: every second piece is one. The argument of an upload may hold ${...}
// itself.
func Split(text string) ([]Piece, error) {
	var pieces []Piece
	for {
		i := strings.Index(text, opening)
		if i < 0 {
			return append(pieces, Piece{Text: text}), nil
		}
		pieces = append(pieces, Piece{Text: text[:i]})
		rest := text[i+len(opening):]
		end := closing(rest)
		if end < 0 {
			return nil, fmt.Errorf("The job document has a placeholder that is not closed: %.60s", text[i:])
		}
		name, argument, _ := strings.Cut(rest[:end], ":")
		switch name {
		case download, downloadV1, downloadV2, upload:
		case signature:
			return nil, NotBuilt("the job document placeholder " + opening + signature + "}")
		default:
			return nil, fmt.Errorf("The job document has an unknown placeholder %s%s}.", opening, name)
		}
		object, err := ParseURL(argument, name == downloadV2)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, Piece{Object: &object, Upload: name == upload})
		text = rest[end+1:]
	}
}

// closing is where the brace is that closes a placeholder, -1 if there is none.
func closing(text string) int {
	depth := 1
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// Join puts a document together again, with a URL in place of each placeholder.
func Join(pieces []Piece, presigned func(Piece) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range pieces {
		if p.Object == nil {
			b.WriteString(p.Text)
			continue
		}
		signed, err := presigned(p)
		if err != nil {
			return "", err
		}
		quoted, err := json.Marshal(signed)
		if err != nil {
			return "", err
		}
		b.Write(quoted[1 : len(quoted)-1]) // the placeholder stands inside a JSON string
	}
	return b.String(), nil
}

// ParseURL takes the URL of an S3 object apart, in path or virtual-hosted style. Only in encoded ones are the key's
// escapes undone and the version read.
func ParseURL(text string, encoded bool) (Object, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	host, path, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || scheme != "https" && scheme != "http" {
		return Object{}, fmt.Errorf("%q is not the URL of an S3 object.", text)
	}
	var o Object
	if encoded {
		unescaped, err := url.PathUnescape(path)
		if err != nil {
			return Object{}, fmt.Errorf("%q is not URL-encoded.", text)
		}
		path, o.Version, _ = strings.Cut(unescaped, "?versionId=")
	}
	if b, _, ok := strings.Cut(host, ".s3."); ok {
		o.Bucket, o.Key = b, path
	} else if b, _, ok := strings.Cut(host, ".s3-"); ok {
		o.Bucket, o.Key = b, path
	} else {
		o.Bucket, o.Key, _ = strings.Cut(path, "/")
	}
	if o.Bucket == "" || o.Key == "" {
		return Object{}, fmt.Errorf("%q does not name a bucket and a key.", text)
	}
	return o, nil
}

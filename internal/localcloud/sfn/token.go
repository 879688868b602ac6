package sfn

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// A task token names the attempt that waits for it: machine, execution, branch
// and number of the attempt, and a random part that only the task has seen.
const tokenPrefix = "sfn1"

func makeToken(k key, branch string, attempt int, secret string) string {
	plain := strings.Join([]string{tokenPrefix, k.Machine, k.Name, branch, strconv.Itoa(attempt), secret}, "\x00")
	return base64.StdEncoding.EncodeToString([]byte(plain))
}

func parseToken(token string) (k key, branch string, attempt int, ok bool) {
	b, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return k, "", 0, false
	}
	parts := strings.Split(string(b), "\x00")
	if len(parts) != 6 || parts[0] != tokenPrefix {
		return k, "", 0, false
	}
	attempt, err = strconv.Atoi(parts[4])
	return key{parts[1], parts[2]}, parts[3], attempt, err == nil
}

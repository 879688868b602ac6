package localcloud

// Denied lists, in AWS's words and each once, the calls, role assumptions, MQTT
// clients and MQTT actions that were refused since the process began; the first
// few hundred of them. A template that grants what its application needs leaves
// it empty.
func (c *Cloud) Denied() []string {
	var lines []string
	for _, d := range append(c.iam.Denied(), c.iot.Denials()...) {
		lines = append(lines, d.String())
	}
	return lines
}

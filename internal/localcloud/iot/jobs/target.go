package jobs

// resolve writes down members of the targets, at most a chunk of them.
func (c *change) resolve(j *loaded) error {
	for budget := chunk; budget > 0; {
		if j.ResolveTarget == len(j.Targets) {
			c.next(j, rollingOut, c.ms)
			return nil
		}
		kind, name := resourceOf(j.Targets[j.ResolveTarget])
		if kind == "thing" {
			if err := c.await(j, name); err != nil {
				return err
			}
			j.ResolveTarget++
			budget--
			continue
		}
		if j.ResolvePending == nil {
			j.ResolvePending = []string{name}
		}
		group := j.ResolvePending[0]
		members, err := c.s.config.Registry.Members(c.tx, group, j.ResolveAfter, budget)
		if err != nil {
			return err
		}
		for _, thing := range members {
			if err := c.await(j, thing); err != nil {
				return err
			}
			j.ResolveAfter = thing
		}
		if len(members) == budget {
			break
		}
		budget -= max(len(members), 1)
		children, err := c.s.config.Registry.Children(c.tx, group)
		if err != nil {
			return err
		}
		j.ResolvePending, j.ResolveAfter = append(j.ResolvePending[1:], children...), ""
		if len(j.ResolvePending) == 0 {
			j.ResolvePending = nil
			j.ResolveTarget++
		}
	}
	c.next(j, resolving, c.ms)
	return nil
}

// await adds a thing to those that wait for their execution.
func (c *change) await(j *loaded, thing string) error {
	_, waits, err := waiting.Get(c.tx, j.ID, thing)
	if err != nil || waits {
		return err
	}
	last, err := latest(c.tx, j.ID, thing)
	if err != nil || last != nil {
		return err
	}
	j.Waiting++
	j.counted = true
	return waiting.Put(c.tx, mark{}, j.ID, thing)
}

func (c *change) closeGroups(j *loaded) error {
	for _, target := range j.Targets {
		if kind, name := resourceOf(target); kind == "thinggroup" {
			if err := jobByGroup.Delete(c.tx, name, j.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *change) openGroups(j *loaded) error {
	if !j.continuous() {
		return nil
	}
	for _, target := range j.Targets {
		if kind, name := resourceOf(target); kind == "thinggroup" {
			if err := jobByGroup.Put(c.tx, mark{}, name, j.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

package iot

import (
	"slices"

	"github.com/fleetstep/fleetstep/internal/localcloud/store"
)

// ancestors lists the groups above a group, its parent first.
func ancestors(tx *store.Tx, name string) ([]string, error) {
	var list []string
	for {
		g, ok, err := groupTable.Get(tx, name)
		if err != nil || !ok || g.Parent == "" {
			return list, err
		}
		name = g.Parent
		list = append(list, name)
	}
}

// withAncestors adds the groups above to a list of groups, each once.
func withAncestors(tx *store.Tx, groups []string) ([]string, error) {
	var list []string
	for _, g := range groups {
		above, err := ancestors(tx, g)
		if err != nil {
			return nil, err
		}
		for _, name := range append([]string{g}, above...) {
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list, nil
}

// groupsOf lists the groups of a thing and the groups above these.
func groupsOf(tx *store.Tx, thing string) ([]string, error) {
	direct, err := all(tx, memberOfTable, thing)
	if err != nil {
		return nil, err
	}
	return withAncestors(tx, direct)
}

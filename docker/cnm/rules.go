package cnm

import (
	"errors"

	"github.com/netsim-lab/netsim/nat"
)

// rule is a netfilter rule and where it goes.
type rule struct {
	table, chain, spec string
	insert             bool // at the top of the chain, not at its end
}

func (r rule) add(nf *nat.Netfilter) error {
	if r.insert {
		return nf.Insert(r.table, r.chain, r.spec)
	}
	return nf.Append(r.table, r.chain, r.spec)
}

// addRules adds rules in their order, all or none.
func addRules(nf *nat.Netfilter, rules []rule) error {
	for i, r := range rules {
		if err := r.add(nf); err != nil {
			return errors.Join(err, deleteRules(nf, rules[:i]))
		}
	}
	return nil
}

// deleteRules deletes rules. What fails does not stop it.
func deleteRules(nf *nat.Netfilter, rules []rule) error {
	var errs []error
	for _, r := range rules {
		errs = append(errs, nf.Delete(r.table, r.chain, r.spec))
	}
	return errors.Join(errs...)
}

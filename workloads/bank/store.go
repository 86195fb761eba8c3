// Package bank is the workload of transfers between accounts whose total must
// stay, as in Jepsen's bank.
package bank

import "context"

// Store is what a connection offers to be driven by this workload. Errors
// follow workloads.Client's rule.
type Store interface {
	// OpenAccounts makes the accounts 0 to n-1 with this balance each, all or
	// none, unless there are accounts already.
	OpenAccounts(ctx context.Context, n, balance int) error
	// Transfer moves money in one transaction: it reads both balances and,
	// where there is enough, writes both. done is false if there was not
	// enough; then it certainly had no effect.
	Transfer(ctx context.Context, from, to, amount int) (done bool, err error)
	// Balances reads all accounts in one transaction.
	Balances(ctx context.Context) ([]int, error)
}

package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/targets/deploy"
)

// galeraStatus is what a node says of its cluster.
type galeraStatus struct {
	status string // Primary: it has the majority
	size   int
	state  string // Synced: it has what the others have
	last   int    // the last transaction that it has
}

func (s *system) galeraStatus(ctx context.Context, node string) (st galeraStatus, err error) {
	err = s.on(ctx, node, func(ctx context.Context, ses *session) error {
		_, rows, err := ses.query(ctx, `SHOW STATUS WHERE Variable_name IN
			('wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_local_state_comment', 'wsrep_last_committed')`)
		for _, row := range rows {
			switch strings.ToLower(row[0]) {
			case "wsrep_cluster_status":
				st.status = row[1]
			case "wsrep_cluster_size":
				st.size, _ = strconv.Atoi(row[1])
			case "wsrep_local_state_comment":
				st.state = row[1]
			case "wsrep_last_committed":
				st.last, _ = strconv.Atoi(row[1])
			}
		}
		return err
	})
	return st, err
}

// askGalera is nil if all nodes are in one cluster at this moment.
func (s *system) askGalera(ctx context.Context) error {
	members := s.Members()
	lost := 0
	best, most := "", -1
	for _, n := range members {
		st, err := s.galeraStatus(ctx, n)
		switch {
		case err != nil:
			return deploy.NotReady(n, err)
		case st.status == "non-Primary":
			lost++
			if st.last > most {
				best, most = n, st.last
			}
		case st.status != "Primary" || st.size != len(members) || st.state != "Synced":
			return deploy.NotReady(n, fmt.Errorf("its cluster is %s of %d nodes, the node is %s", st.status, st.size, st.state))
		}
	}
	if lost > 0 {
		return s.regain(ctx, best, lost, len(members))
	}
	if err := s.Docker.Put(ctx, roleFile("")); err != nil { // from now on nobody founds another
		return err
	}
	return s.askTables(ctx, members)
}

// regain lets the node that has most found the cluster again where all nodes
// run and none has the majority: it was lost with more nodes than that at once.
func (s *system) regain(ctx context.Context, best string, lost, members int) error {
	err := errors.New("it has lost the majority")
	if lost == members {
		err = errors.Join(err, s.on(ctx, best, func(ctx context.Context, ses *session) error {
			return ses.run(ctx, "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=true'")
		}))
	}
	return deploy.NotReady(best, err)
}

func (s *system) askTables(ctx context.Context, members []string) error {
	for i, n := range members {
		err := s.on(ctx, n, func(ctx context.Context, ses *session) error {
			row, err := ses.row(ctx, "SELECT VERSION(), ("+countTables+")")
			if err != nil {
				return err
			}
			s.SetVersion(s.server(), row[0])
			switch {
			case row[1] == strconv.Itoa(len(schema)-1):
				return nil
			case i == 0:
				return ses.run(ctx, schema...)
			}
			return errors.New("tables have not arrived")
		})
		if err != nil {
			return deploy.NotReady(n, err)
		}
	}
	return nil
}

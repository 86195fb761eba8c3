package mysql

import (
	"cmp"
	"fmt"
	"os"

	"github.com/capstan-dev/capstan/cluster/docker"
)

// The servers that there are.
const (
	mariaDB = "mariadb"
	mySQL   = "mysql"
)

// dialect is what MariaDB and MySQL call differently.
type dialect struct {
	image docker.Image
	// settings are the options that only this server has.
	settings []string
	// replication are the options of every node that replicates, semi those of
	// semi-synchronous replication, with its wait point and milliseconds.
	replication    []string
	semi           func(point, millis string) []string
	semiPrimaryArg string
	semiPrimary    string // the variable that lets a primary wait
	// follow makes a replica follow a primary from what it has; forget makes it
	// no replica; adopt is what a former primary does before it follows; status
	// tells how it goes, in the columns io and sql.
	follow  func(primary string) []string
	forget  []string
	status  string
	io, sql string
	// stopReceiving leaves a replica applying what it has.
	stopReceiving string
	// position is what a server has, caughtUp whether another has it: 0 is yes.
	position string
	caughtUp func(position string, seconds float64) string
}

// dialectOf is that of a server's name; MariaDB's without one.
func dialectOf(server string) dialect {
	if server == mySQL {
		return ofMySQL()
	}
	return ofMariaDB()
}

func ofMariaDB() dialect {
	return dialect{
		image:    docker.Image{Ref: cmp.Or(os.Getenv("CAPSTAN_MARIADB_IMAGE"), "mariadb:11.8"), Name: "capstan-mariadb", Files: imageFolder()},
		settings: []string{"--innodb-log-file-size=32M"},
		replication: []string{
			"--log-bin=binlog", "--binlog-format=ROW", "--log-slave-updates=1", "--sync-binlog=1",
			"--gtid-strict-mode=1", "--relay-log=relay", "--slave-net-timeout=4",
		},
		semi: func(point, millis string) []string {
			return []string{
				"--rpl-semi-sync-slave-enabled=1", "--rpl-semi-sync-master-wait-point=" + point,
				"--rpl-semi-sync-master-timeout=" + millis,
			}
		},
		semiPrimaryArg: "--rpl-semi-sync-master-enabled=1",
		semiPrimary:    "rpl_semi_sync_master_enabled",
		follow: func(primary string) []string {
			return []string{
				// What it wrote itself is where it goes on; that of a replica is in there.
				"SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos",
				fmt.Sprintf(`CHANGE MASTER TO master_host = '%s', master_port = %d, master_user = 'capstan',
					master_use_gtid = slave_pos, master_connect_retry = 1, master_heartbeat_period = 1`, primary, port),
				"START SLAVE",
			}
		},
		forget: []string{"STOP SLAVE", "RESET SLAVE ALL"},
		status: "SHOW SLAVE STATUS", io: "Slave_IO_Running", sql: "Slave_SQL_Running",
		stopReceiving: "STOP SLAVE IO_THREAD",
		position:      "SELECT @@gtid_binlog_pos",
		caughtUp: func(position string, seconds float64) string {
			return fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', %g)", position, seconds)
		},
	}
}

func ofMySQL() dialect {
	return dialect{
		image: docker.Image{Ref: cmp.Or(os.Getenv("CAPSTAN_MYSQL_IMAGE"), "mysql:8.4")},
		replication: []string{
			"--log-bin=binlog", "--log-replica-updates=1", "--sync-binlog=1", "--gtid-mode=ON",
			"--enforce-gtid-consistency=ON", "--relay-log=relay", "--replica-net-timeout=4",
		},
		semi: func(point, millis string) []string {
			return []string{
				"--plugin-load-add=semisync_source.so", "--plugin-load-add=semisync_replica.so",
				"--rpl-semi-sync-replica-enabled=1", "--rpl-semi-sync-source-wait-point=" + point,
				"--rpl-semi-sync-source-timeout=" + millis,
			}
		},
		semiPrimaryArg: "--rpl-semi-sync-source-enabled=1",
		semiPrimary:    "rpl_semi_sync_source_enabled",
		follow: func(primary string) []string {
			return []string{
				fmt.Sprintf(`CHANGE REPLICATION SOURCE TO source_host = '%s', source_port = %d, source_user = 'capstan',
					source_auto_position = 1, source_connect_retry = 1, source_heartbeat_period = 1, get_source_public_key = 1`, primary, port),
				"START REPLICA",
			}
		},
		forget: []string{"STOP REPLICA", "RESET REPLICA ALL"},
		status: "SHOW REPLICA STATUS", io: "Replica_IO_Running", sql: "Replica_SQL_Running",
		stopReceiving: "STOP REPLICA IO_THREAD",
		position:      "SELECT @@global.gtid_executed",
		caughtUp: func(position string, seconds float64) string {
			return fmt.Sprintf("SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', %g)", position, seconds)
		},
	}
}

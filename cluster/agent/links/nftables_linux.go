package links

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Constants of linux/netfilter/nf_tables.h that iptables' rules are made of.
const (
	nftSubsystem              = unix.NFNL_SUBSYS_NFTABLES
	nftNetworkHeader          = 1
	nftRegisterVerdict        = 0
	nftRegister1              = 1
	nftJump, nftReturn uint32 = 1<<32 - 3, 1<<32 - 5
)

// nftables changes the rules of the kernel that iptables-nft sees, too, but
// for both families and all tables in one transaction, without a process.
type nftables struct {
	families []family
	tables   []string
	// s stays open: to close it takes the kernel as long as a grace period of
	// RCU after rules were deleted, which is what a heal does.
	s *socket
}

// commit replaces the rules of our changing chains.
func (n *nftables) commit(ls []line) (err error) {
	if n.s == nil {
		if n.s, err = openSocket(unix.NETLINK_NETFILTER); err != nil {
			return err
		}
	}
	batch, acks := n.batch(ls)
	if err = n.s.send(batch); err == nil {
		err = n.s.answers(acks, nil)
	}
	if err != nil { // answers may follow that nobody waits for
		n.s.close()
		n.s = nil
		return fmt.Errorf("change rules: %w", err)
	}
	return nil
}

// batch is the transaction, and how many of its messages are acknowledged.
func (n *nftables) batch(ls []line) (b []byte, acks int) {
	var m message
	at := m.begin(0, unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, nftSubsystem)
	m.end(at)
	for _, f := range n.families {
		for _, table := range n.tables {
			for _, chain := range []string{chainIn, chainOut} {
				at := m.begin(nftSubsystem, unix.NFT_MSG_DELRULE, unix.NLM_F_ACK, f.number(), 0)
				m.text(unix.NFTA_RULE_TABLE, table)
				m.text(unix.NFTA_RULE_CHAIN, chain)
				m.end(at)
				acks++
			}
		}
		for _, l := range ls {
			if l.addr.IsValid() && !f.has(l.addr) {
				continue
			}
			at := m.begin(nftSubsystem, unix.NFT_MSG_NEWRULE, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_APPEND, f.number(), 0)
			m.rule(l)
			m.end(at)
			acks++
		}
	}
	at = m.begin(0, unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, nftSubsystem)
	m.end(at)
	return m.b, acks
}

func (f family) number() uint8 {
	if f.v6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

// rule adds the expressions that iptables would make of it.
func (m *message) rule(l line) {
	m.text(unix.NFTA_RULE_TABLE, l.table)
	m.text(unix.NFTA_RULE_CHAIN, l.chain)
	m.nest(unix.NFTA_RULE_EXPRESSIONS, func() {
		if l.addr.IsValid() {
			m.compare(l)
		}
		m.expression("counter", func() {
			m.attr(unix.NFTA_COUNTER_BYTES, make([]byte, 8))
			m.attr(unix.NFTA_COUNTER_PACKETS, make([]byte, 8))
		})
		m.expression("immediate", func() {
			m.uint32(unix.NFTA_IMMEDIATE_DREG, nftRegisterVerdict)
			m.nest(unix.NFTA_IMMEDIATE_DATA, func() {
				m.nest(unix.NFTA_DATA_VERDICT, func() { m.verdict(l.target) })
			})
		})
	})
}

// compare adds the comparison of an address in the packet's header.
func (m *message) compare(l line) {
	value := l.addr.AsSlice()
	offset := 12 // of the source in IPv4
	if l.addr.Is6() {
		offset = 8
	}
	if l.chain == chainOut {
		offset += len(value)
	}
	m.expression("payload", func() {
		m.uint32(unix.NFTA_PAYLOAD_DREG, nftRegister1)
		m.uint32(unix.NFTA_PAYLOAD_BASE, nftNetworkHeader)
		m.uint32(unix.NFTA_PAYLOAD_OFFSET, uint32(offset))
		m.uint32(unix.NFTA_PAYLOAD_LEN, uint32(len(value)))
	})
	m.expression("cmp", func() {
		m.uint32(unix.NFTA_CMP_SREG, nftRegister1)
		m.uint32(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ)
		m.nest(unix.NFTA_CMP_DATA, func() { m.attr(unix.NFTA_DATA_VALUE, value) })
	})
}

func (m *message) verdict(target string) {
	switch target {
	case "DROP":
		m.uint32(unix.NFTA_VERDICT_CODE, 0)
	case "RETURN":
		m.uint32(unix.NFTA_VERDICT_CODE, nftReturn)
	default:
		m.uint32(unix.NFTA_VERDICT_CODE, nftJump)
		m.text(unix.NFTA_VERDICT_CHAIN, target)
	}
}

func (m *message) expression(name string, data func()) {
	m.nest(unix.NFTA_LIST_ELEM, func() {
		m.text(unix.NFTA_EXPR_NAME, name)
		m.nest(unix.NFTA_EXPR_DATA, data)
	})
}

package snmp

import "strconv"

// Table is where a rack keeps its outlets: columns, to which the outlet's row is added, and what their values mean.
type Table struct {
	state, name string
	on, off     int
	commands    [3]snmpCommand // to turn on, to turn off, to reboot
	shift       int            // how far the outlet's number is from its row's: 1 where rows are counted from nought
}

// row is where an outlet is in a column.
func (table Table) row(column string, outlet int) string {
	return column + strconv.Itoa(outlet-table.shift)
}

// snmpCommand is a value that is written to a column.
type snmpCommand struct {
	column string
	value  int
}

// inOne are the commands of a rack that has one column for them.
func inOne(column string, on, off, reboot int) [3]snmpCommand {
	return [3]snmpCommand{{column, on}, {column, off}, {column, reboot}}
}

const enterprises = ".1.3.6.1.4.1."

// APC of PowerNet-MIB, the one that most racks have first: sPDUOutletCtl is both state and command, rPDU has
// rPDUOutletStatusOutletState and rPDUOutletControlOutletCommand, rPDU2 (whose states are the other way round)
// rPDU2OutletSwitchedStatusState and rPDU2OutletSwitchedControlCommand.
func APC() []Table {
	const apc = enterprises + "318.1.1."
	return []Table{
		{apc + "4.4.2.1.3.", apc + "4.4.2.1.4.", 1, 2, inOne(apc+"4.4.2.1.3.", 1, 2, 3), 0},
		{apc + "12.3.5.1.1.4.", apc + "12.3.5.1.1.2.", 1, 2, inOne(apc+"12.3.3.1.1.4.", 1, 2, 3), 0},
		{apc + "26.9.2.3.1.5.", apc + "26.9.2.3.1.3.", 2, 1, inOne(apc+"26.9.2.4.1.5.", 1, 2, 3), 0},
	}
}

// Raritan are of PX2 and later (PDU2-MIB, the first unit: outletSwitchingState, switchingOperation) and of PX (PDU-MIB:
// outletOperationalState, which is also the command).
func Raritan() []Table {
	const px2, px = enterprises + "13742.6.", enterprises + "13742.4.1.2.2.1."
	return []Table{
		{px2 + "4.1.2.1.3.1.", px2 + "3.5.3.1.3.1.", 7, 8, inOne(px2+"4.1.2.1.2.1.", 1, 0, 2), 0},
		{px + "3.", px + "2.", 1, 0, inOne(px+"3.", 1, 0, 2), 0},
	}
}

// Eaton are of the ePDUs of the third generation and later (EATON-EPDU-MIB, the first unit: outletControlStatus, and a
// column for each command, to which the seconds until then are written), and of the managed ePDU before them, whose
// rows are counted from nought (so fence_eaton_snmp, which was tried on one).
func Eaton() []Table {
	const g3, managed = enterprises + "534.6.6.7.6.", enterprises + "534.6.6.6.1.2.2.1."
	return []Table{
		{g3 + "6.1.2.0.", g3 + "1.1.3.0.", 1, 0,
			[3]snmpCommand{{g3 + "6.1.4.0.", 0}, {g3 + "6.1.3.0.", 0}, {g3 + "6.1.5.0.", 0}}, 0},
		{managed + "3.", managed + "2.", 1, 0, inOne(managed+"3.", 1, 0, 2), 1},
	}
}

// Sentry are Server Technology's (Sentry3-MIB, tower A, infeed A: outletStatus, outletControlAction).
func Sentry() []Table {
	const outlet = enterprises + "1718.3.2.3.1."
	return []Table{{outlet + "5.1.1.", outlet + "3.1.1.", 1, 0, inOne(outlet+"11.1.1.", 1, 2, 3), 0}}
}

// CyberPower are of CPS-MIB: ePDUOutletStatusOutletState, ePDUOutletControlOutletCommand.
func CyberPower() []Table {
	const outlet = enterprises + "3808.1.1.3.3."
	return []Table{{outlet + "5.1.1.4.", outlet + "5.1.1.2.", 1, 2, inOne(outlet+"3.1.1.4.", 1, 2, 3), 0}}
}

// TrippLite are of TRIPPLITE-MIB, and of the cards called WEBCARDLX.
func TrippLite() []Table {
	const rack, card = enterprises + "850.10.2.3.5.1.", enterprises + "850.1.1.3.2.3.3.1.1."
	return []Table{
		{rack + "2.1.", rack + "5.1.", 2, 1, inOne(rack+"4.1.", 2, 1, 3), 0},
		{card + "4.1.", card + "2.1.", 2, 1, inOne(card+"6.1.", 2, 1, 3), 0},
	}
}

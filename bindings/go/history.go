package happysock

/*
#include <happysock.h>

static happy_history_report empty_report(void)
{
	happy_history_report report = HAPPY_HISTORY_REPORT_INIT;
	return report;
}
*/
import "C"

import "runtime"

// History is what earlier connects have learnt of this system's networks (RFC 8305, section 4), for those that come
// after them: a family that goes unanswered costs one delay and not one a connect, and of addresses that rank alike
// those that answered faster go first. It is in memory only, and forgets after ten minutes. Any number of goroutines
// may use it.
type History struct {
	native *C.happy_history
}

// HistoryReport is what a History holds at a moment.
type HistoryReport struct {
	// Destinations of which something is known, and networks, by the addresses that this system has in them.
	Destinations, Networks int
	// Networks in which a family does not answer.
	UnansweredV6, UnansweredV4 int
}

// NewHistory makes an empty one, to be shared by Dialers.
func NewHistory() *History {
	history := &History{}
	if C.happy_history_new(&history.native) != C.HAPPY_OK {
		panic("happysock: out of memory")
	}
	runtime.SetFinalizer(history, func(history *History) { C.happy_history_unref(history.native) })
	return history
}

// Flush forgets everything.
func (h *History) Flush() {
	C.happy_history_flush(h.native)
	runtime.KeepAlive(h)
}

// Report says what it holds now.
func (h *History) Report() HistoryReport {
	report := C.empty_report()
	C.happy_history_get_report(h.native, &report)
	runtime.KeepAlive(h)
	return HistoryReport{
		Destinations: int(report.destinations),
		Networks:     int(report.networks),
		UnansweredV6: int(report.unanswered_v6),
		UnansweredV4: int(report.unanswered_v4),
	}
}

/* Names for numbers: what a log or an error message shows.
 *
 * shows: happy_version happy_status_str happy_outcome_str happy_limit_str happy_trace_kind_str
 * run:
 * prints: happysock VERSION
 * prints: -7003: a time limit was reached
 * prints: 3: timed out
 * prints: 3: open_timeout_ms
 * prints: 8: attempt started
 */
#include <happysock.h>
#include <stdio.h>

int main(void)
{
    printf("happysock %s\n", happy_version());
    printf("%d: %s\n", HAPPY_ETIMEOUT, happy_status_str(HAPPY_ETIMEOUT));
    printf("%d: %s\n", HAPPY_OUTCOME_TIMED_OUT,
           happy_outcome_str(HAPPY_OUTCOME_TIMED_OUT));
    printf("%d: %s\n", HAPPY_LIMIT_OPEN, happy_limit_str(HAPPY_LIMIT_OPEN));
    printf("%d: %s\n", HAPPY_TRACE_ATTEMPT_STARTED,
           happy_trace_kind_str(HAPPY_TRACE_ATTEMPT_STARTED));
    return 0;
}

/* A wait that a signal handler interrupts, to go on afterwards, and in the end cancels.
 *
 * shows: happy_connect_wait happy_connect_interrupt happy_connect_cancel
 * run: silent.test PORT
 * prints: still trying
 * prints: still trying
 * prints: silent.test: cancelled
 */
#include <happysock.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>

static happy_connect *connecting;
static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    if (++alarms < 3)
        happy_connect_interrupt(connecting);
    else
        happy_connect_cancel(connecting);
}

int main(int argc, char **argv)
{
    struct itimerval soon = {.it_value = {.tv_usec = 100000}};
    happy_result result = HAPPY_RESULT_INIT;
    if (argc != 3 || happy_connect_new(argv[1], argv[2], NULL, &connecting,
                                       NULL) != HAPPY_OK)
        return 2;
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &soon, NULL);
    while (happy_connect_wait(connecting) == HAPPY_EAGAIN) {
        printf("still trying\n");
        setitimer(ITIMER_REAL, &soon, NULL);
    }
    happy_connect_take_result(connecting, &result);
    printf("%s: %s\n", argv[1], happy_status_str(result.status));
    signal(SIGALRM, SIG_IGN);
    happy_connect_free(connecting);
    return 0;
}

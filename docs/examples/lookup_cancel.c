/* A lookup that a signal handler cancels.
 *
 * shows: happy_lookup_cancel
 * run: nobody.silent.test
 * prints: nobody.silent.test: Operation canceled
 */
#include <happysock.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>

static happy_lookup *lookup;

static void on_alarm(int number)
{
    (void)number;
    happy_lookup_cancel(lookup);
}

int main(int argc, char **argv)
{
    struct itimerval soon = {.it_value = {.tv_usec = 100000}};
    struct addrinfo *list = NULL;
    if (argc != 2)
        return 2;
    if (happy_lookup_new(argv[1], "80", NULL, -1, &lookup) != HAPPY_OK ||
        happy_lookup_start(lookup) != HAPPY_OK)
        return 1;
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &soon, NULL);
    /* A signal does not end the wait; the cancel does. */
    happy_lookup_wait(lookup);
    signal(SIGALRM, SIG_IGN);
    if (happy_lookup_take_result(lookup, &list) == 0)
        freeaddrinfo(list);
    else
        printf("%s: %s\n", argv[1], happy_error_message());
    happy_lookup_unref(lookup);
    return 0;
}

/* How many threads lookups may have, and a process that has none left.
 *
 * shows: happy_lookup_set_thread_limit happy_lookup_get_thread_limit happy_lookup_end_idle_workers
 * run: dual.test
 * prints: at most 16 threads
 * prints: no thread of the library is left
 */
#include <happysock.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct addrinfo *list = NULL;
    if (argc != 2 || happy_lookup_set_thread_limit(16) != HAPPY_OK)
        return 2;
    printf("at most %u threads\n", happy_lookup_get_thread_limit());
    if (rb_getaddrinfo_happy(argv[1], "80", NULL, &list, 5000) == 0)
        freeaddrinfo(list);
    /* Before a fork, a change of privileges, or a seccomp filter. A worker
     * may still be on its way back. */
    while (happy_lookup_end_idle_workers() == HAPPY_EAGAIN) {
    }
    printf("no thread of the library is left\n");
    return 0;
}

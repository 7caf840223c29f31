/* A lookup in a loop of poll(2): one descriptor, its limit included.
 *
 * shows: happy_lookup_get_fd happy_lookup_get_timeout_ms happy_lookup_dispatch
 * run: nobody.silent.test
 * prints: nobody.silent.test: Connection timed out
 */
#include <happysock.h>
#include <poll.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    happy_lookup *lookup = NULL;
    struct addrinfo *list = NULL;
    if (argc != 2)
        return 2;
    if (happy_lookup_new(argv[1], "80", NULL, 200, &lookup) != HAPPY_OK ||
        happy_lookup_start(lookup) != HAPPY_OK)
        return 1;
    struct pollfd watched = {happy_lookup_get_fd(lookup), POLLIN, 0};
    while (happy_lookup_dispatch(lookup) == HAPPY_EAGAIN) {
        /* -1 would do as well: the descriptor is readable when the limit
         * comes. A program's own descriptors would stand in the same array.
         */
        poll(&watched, 1, happy_lookup_get_timeout_ms(lookup));
    }
    if (happy_lookup_take_result(lookup, &list) == 0)
        freeaddrinfo(list);
    else
        printf("%s: %s\n", argv[1], happy_error_message());
    happy_lookup_unref(lookup);
    return 0;
}

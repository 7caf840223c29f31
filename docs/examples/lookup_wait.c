/* A lookup as an object: made, started, waited for, and its answer taken.
 *
 * shows: happy_lookup happy_lookup_new happy_lookup_start happy_lookup_wait happy_lookup_take_result happy_lookup_unref
 * run: four.test
 * prints: four.test has an address
 */
#include <happysock.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    happy_lookup *lookup = NULL;
    struct addrinfo *list = NULL;
    if (argc != 2)
        return 2;
    if (happy_lookup_new(argv[1], "80", NULL, 5000, &lookup) != HAPPY_OK ||
        happy_lookup_start(lookup) != HAPPY_OK) {
        fprintf(stderr, "%s\n", happy_error_message());
        happy_lookup_unref(lookup);
        return 1;
    }
    /* Here the program has time for something else. */
    happy_lookup_wait(lookup);
    int code = happy_lookup_take_result(lookup, &list);
    if (code == 0) {
        printf("%s has an address\n", argv[1]);
        freeaddrinfo(list);
    } else {
        /* After an EAI_* code the message has the words of gai_strerror(3).
         */
        fprintf(stderr, "%s: %s\n", argv[1], happy_error_message());
    }
    happy_lookup_unref(lookup);
    return code == 0 ? 0 : 1;
}

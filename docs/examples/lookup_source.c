/* Who has answered: the file, name servers, or libc.
 *
 * shows: happy_lookup_get_source
 * run: dual.test
 * prints: dual.test: hosts
 */
#include <happysock.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    happy_lookup *lookup = NULL;
    if (argc != 2 ||
        happy_lookup_new(argv[1], "80", NULL, 5000, &lookup) != HAPPY_OK ||
        happy_lookup_start(lookup) != HAPPY_OK)
        return 2;
    happy_lookup_wait(lookup);
    const char *source = happy_lookup_get_source(lookup);
    printf("%s: %s\n", argv[1], source != NULL ? source : "nobody was asked");
    happy_lookup_unref(lookup);
    return 0;
}

/* A refused argument changes nothing and is named.
 *
 * shows: happy_error_message
 * run:
 * prints: timeout_ms: must be -1 (no limit) or more
 */
#include <happysock.h>
#include <stdio.h>

int main(void)
{
    happy_lookup *lookup = NULL;
    if (happy_lookup_new("localhost", "http", NULL, -2, &lookup) != HAPPY_OK)
        printf("%s\n", happy_error_message());
    happy_lookup_unref(lookup);
    return 0;
}

/* What the examples share: a call that fails ends the program with what the library says. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ferrocket.h"

static fr_error_t *error = NULL;

/* ANCHOR: try */
#define TRY(call)                                                                          \
    do {                                                                                   \
        if ((call) != FR_OK) {                                                             \
            fprintf(stderr, "%s: %s\n", fr_status_name(fr_error_status(error)), fr_error_message(error)); \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)
/* ANCHOR_END: try */

#endif

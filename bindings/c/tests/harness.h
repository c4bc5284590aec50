/* What the tests have in common: checks that say where they failed, and a cluster in this process. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ferrocket.h"

/* Longer than anything here takes, in milliseconds. */
#define LONG 60000

static int failures = 0;
/* The place for errors of OK and FAILS. */
static fr_error_t *error = NULL;

/* A condition that must hold. */
#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            failures++;                                                             \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
        }                                                                           \
    } while (0)

/* A call that must succeed; what comes after it makes no sense without. */
#define OK(call)                                                                    \
    do {                                                                            \
        if ((call) != FR_OK) {                                                      \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, fr_error_message(error)); \
            exit(1);                                                                \
        }                                                                           \
        CHECK(error == NULL);                                                       \
    } while (0)

/* A call that must fail with this status, and say why. */
#define FAILS(status, call)                                                         \
    do {                                                                            \
        fr_status_t answer = (call);                                                \
        if (answer != (status)) {                                                   \
            failures++;                                                             \
            fprintf(stderr, "%s:%d: %s answers %s\n", __FILE__, __LINE__, #call, fr_status_name(answer)); \
        }                                                                           \
        CHECK(fr_error_status(error) == answer);                                    \
        CHECK(error != NULL && strlen(fr_error_message(error)) > 5);                \
        fr_error_free(error);                                                       \
        error = NULL;                                                               \
    } while (0)

#define SAME(a, b) CHECK(strcmp((a), (b)) == 0)

static fr_testing_broker_t *broker;
static fr_client_t *client;

/* Another client of the same cluster. */
static fr_client_t *another_client(void) {
    fr_client_t *other;
    fr_config_t *config = fr_config_new();
    OK(fr_config_set(config, "namesrvAddr", fr_testing_broker_namesrv_addr(broker), &error));
    /* Tools that look at every access make everything slow. */
    OK(fr_config_set(config, "mqClientApiTimeout", "30000", &error));
    OK(fr_client_new(config, &other, &error));
    fr_config_free(config);
    return other;
}

/* A cluster with short transactions and filters, and a client of it. */
static void begin(void) {
    fr_config_t *config = fr_config_new();
    OK(fr_config_set(config, "transactionTimeOut", "1000", &error));
    OK(fr_config_set(config, "transactionCheckInterval", "1000", &error));
    OK(fr_config_set(config, "enablePropertyFilter", "true", &error));
    OK(fr_testing_broker_start(config, &broker, &error));
    fr_config_free(config);
    client = another_client();
}

static int end(void) {
    OK(fr_client_close(client, &error));
    fr_client_free(client);
    fr_testing_broker_free(broker);
    OK(fr_stop(5000, &error));
    return failures == 0 ? 0 : 1;
}

#endif

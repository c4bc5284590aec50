/* The servers in the process of a test: says where they listen, and serves until its input ends. */
#include "example.h"

int main(void) {
    fr_testing_broker_t *broker;
    fr_config_t *config = fr_config_new();

    TRY(fr_config_set(config, "enablePropertyFilter", "true", &error));
    TRY(fr_testing_broker_start(config, &broker, &error));
    printf("%s\n", fr_testing_broker_namesrv_addr(broker));
    fflush(stdout);
    while (getchar() != EOF) {
    }
    fr_testing_broker_free(broker);
    fr_config_free(config);
    return 0;
}

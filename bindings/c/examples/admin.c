/* Makes a topic and looks at the cluster, with events and log lines of the client on the way. */
#include "example.h"

static void log_line(int32_t level, const char *target, const char *text, void *user) {
    (void)user;
    fprintf(stderr, "%d %s: %s\n", (int)level, target, text);
}

int main(void) {
    fr_config_t *config = fr_config_new();
    fr_client_t *client;
    fr_events_t *events;
    fr_event_t *event;
    fr_names_t *names;
    fr_offsets_t *offsets;
    size_t at, count;

    TRY(fr_log_handle(3, log_line, NULL, &error));
    /* For clusters with access control: accessKey and secretKey; with TLS: useTLS and tls.client.... */
    TRY(fr_config_set(config, "instanceName", "admin-example", &error));
    TRY(fr_client_new(config, &client, &error));
    TRY(fr_client_events(client, &events, &error));

    TRY(fr_admin_create_topic(client, "Created", 4, 4, 6, &error));
    TRY(fr_admin_topics(client, &names, &error));
    for (at = 0; at < fr_names_count(names); at++) {
        printf("topic %s\n", fr_names_at(names, at));
    }
    fr_names_free(names);
    TRY(fr_admin_topic_stats(client, "Created", &offsets, &error));
    for (at = 0; at < fr_offsets_count(offsets); at++) {
        printf("queue %d has %lld to %lld\n", (int)fr_queue_id(fr_offsets_queue(offsets, at)),
               (long long)fr_offsets_first(offsets, at), (long long)fr_offsets_second(offsets, at));
    }
    fr_offsets_free(offsets);

    TRY(fr_events_poll(events, &event, 1, 1000, &count, &error));
    if (count == 1 && fr_event_kind(event) == FR_EVENT_CONNECTED) {
        printf("connected to %s\n", fr_event_addr(event));
    }
    if (count == 1) {
        fr_event_free(event);
    }
    fr_events_free(events);
    fr_client_free(client);
    fr_config_free(config);
    TRY(fr_log_handle(0, NULL, NULL, &error));
    return 0;
}

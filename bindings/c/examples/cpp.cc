// C++11: owners that free, exceptions, and a lambda as handler.
#include <cstring>
#include <future>
#include <iostream>
#include <string>

#include <ferrocket.hpp>

int main() try {
    fr::Client client = fr::make<fr_client_t>(fr_client_new, (const fr_config_t *)nullptr);
    fr::Producer producer =
        fr::make<fr_producer_t>(fr_producer_start, client.get(), "greeters", (const fr_config_t *)nullptr);
    const std::string text = "hello";
    fr::Message message = fr::make<fr_message_t>(fr_message_new, "Greetings", text.data(), text.size());
    fr::SendResult sent = fr::make<fr_send_result_t>(fr_producer_send, producer.get(), message.get());
    std::cout << fr_send_result_msg_id(sent.get()) << "\n";

    std::promise<std::string> heard;
    fr::Handler handler([&](const fr_delivery_t *delivery) -> int32_t {
        std::size_t len;
        const void *body = fr_message_ext_body(fr_messages_at(fr_delivery_messages(delivery), 0), &len);
        heard.set_value(std::string(static_cast<const char *>(body), len)); // throws if it comes twice: FR_LATER
        return FR_SUCCESS;
    });
    fr::Config config(fr_config_new());
    fr::call(fr_config_set, config.get(), "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET");
    fr::call(fr_config_subscribe, config.get(), "Greetings", "*", FR_TAG);
    fr::PushConsumer consumer = fr::make<fr_push_consumer_t>(
        fr_push_consumer_start, client.get(), "listeners", config.get(), FR_CONCURRENTLY);
    fr::call(fr_push_consumer_handle, consumer.get(), std::size_t(1), &fr::Handler::call, (void *)&handler);
    std::cout << heard.get_future().get() << "\n";
    fr::call(fr_push_consumer_close, consumer.get());
} catch (const fr::Error &error) {
    std::cerr << fr_status_name(error.status()) << ": " << error.what() << "\n";
    return 1;
}

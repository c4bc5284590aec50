// Ferrocket from Go by cgo: sends a message, and consumes it by polling. Callbacks of C into Go are not needed.
//
// PKG_CONFIG_PATH must name the folder of ferrocket.pc.
package main

/*
#cgo pkg-config: ferrocket
#include <stdlib.h>
#include <ferrocket.h>
*/
import "C"

import (
	"fmt"
	"os"
	"unsafe"
)

// failed makes an error of Go of one of the library, which it frees. By its place: Go may look at a variable before it
// makes the call beside it.
func failed(status C.fr_status_t, err **C.fr_error_t) error {
	if status == C.FR_OK {
		return nil
	}
	defer C.fr_error_free(*err)
	return fmt.Errorf("%s: %s", C.GoString(C.fr_status_name(C.int32_t(status))), C.GoString(C.fr_error_message(*err)))
}

func run() error {
	var err *C.fr_error_t
	topic, group, body := C.CString("FromGo"), C.CString("gophers"), []byte("hello")
	first, from := C.CString("CONSUME_FROM_FIRST_OFFSET"), C.CString("consumeFromWhere")
	every := C.CString("*")
	for _, text := range []*C.char{topic, group, first, from, every} {
		defer C.free(unsafe.Pointer(text))
	}

	var client *C.fr_client_t
	if err := failed(C.fr_client_new(nil, &client, &err), &err); err != nil {
		return err
	}
	defer C.fr_client_free(client)
	var producer *C.fr_producer_t
	if err := failed(C.fr_producer_start(client, group, nil, &producer, &err), &err); err != nil {
		return err
	}
	defer C.fr_producer_free(producer)
	var message *C.fr_message_t
	status := C.fr_message_new(topic, unsafe.Pointer(&body[0]), C.size_t(len(body)), &message, &err)
	if err := failed(status, &err); err != nil {
		return err
	}
	defer C.fr_message_free(message)
	var sent *C.fr_send_result_t
	if err := failed(C.fr_producer_send(producer, message, &sent, &err), &err); err != nil {
		return err
	}
	defer C.fr_send_result_free(sent)
	fmt.Println(C.GoString(C.fr_send_result_msg_id(sent)))

	config := C.fr_config_new()
	defer C.fr_config_free(config)
	if err := failed(C.fr_config_set(config, from, first, &err), &err); err != nil {
		return err
	}
	if err := failed(C.fr_config_subscribe(config, topic, every, C.FR_TAG, &err), &err); err != nil {
		return err
	}
	var consumer *C.fr_push_consumer_t
	status = C.fr_push_consumer_start(client, group, config, C.FR_CONCURRENTLY, &consumer, &err)
	if err := failed(status, &err); err != nil {
		return err
	}
	defer C.fr_push_consumer_free(consumer)
	for {
		var deliveries [16]*C.fr_delivery_t
		var count C.size_t
		status := C.fr_push_consumer_poll(consumer, &deliveries[0], 16, 1000, &count, &err)
		if err := failed(status, &err); err != nil {
			return err
		}
		for _, delivery := range deliveries[:count] {
			var size C.size_t
			body := C.fr_message_ext_body(C.fr_messages_at(C.fr_delivery_messages(delivery), 0), &size)
			fmt.Println(string(C.GoBytes(body, C.int(size))))
		}
		if err := failed(C.fr_deliveries_ack(&deliveries[0], count, &err), &err); err != nil {
			return err
		}
		if count > 0 {
			return nil
		}
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

/* dns_event.h - an event base for libunbound, made of kurir_watch. */
#ifndef DNS_EVENT_H
#define DNS_EVENT_H

#include <kurir/module.h>

struct ub_event_base;
struct dns_event_base;

/* Lives as long as the instance. */
struct dns_event_base *dns_event_base_new(struct kurir_self *);
struct ub_event_base *dns_event_base_ub(struct dns_event_base *);

#endif

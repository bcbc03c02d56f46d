/* worker.h - hooks of a module that has a process of its own.
 *
 * In the pipelines of the edge stands a proxy.  It asks the endpoint "hook" of the worker that
 * has the module, and does there what the module wanted done: a reply, header fields, another
 * envelope.  Nothing that comes from a worker is trusted: it can only do what its module may do,
 * and when it dies, hangs or talks nonsense its instance's "on-error" decides, as for any hook.
 * What a module cannot do from there: change the message itself (kurir_message_rewrite: -EBUSY).
 *
 * The worker has for each connection and each transaction an object of its own, made from what
 * the proxy tells it each time.  What a module keeps there (kurir_conn_state, kurir_tx_state)
 * lives as long as the connection, unless the worker dies: then it begins with zeros. */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

/* The edge asks by chain_far, the worker answers at its endpoint. */
void worker_serve(void);
/* Worker: who does not come back to the loop for some seconds is killed (SIGALRM). */
void worker_watch(void);

#endif

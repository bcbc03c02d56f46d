/* control.c - stub. */
#include "control.h"
void control_serve(void)
{
}
KURIR_PARKS int control_start(void)
{
	return 0;
}
KURIR_PARKS void control_stop(void)
{
}

/* main.c - kurird.  See daemon.c. */
#include "daemon.h"

int main(int argc, char **argv)
{
	return kurir_main(argc, argv);
}

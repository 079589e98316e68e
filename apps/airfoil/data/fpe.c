/* Debian's xfoil is built to abort at the first floating point exception, and its viscous solver divides by zero on the
   way to a good answer. Loaded before libgfortran, this takes the place of the call that arms those traps. */
void _gfortran_set_fpe(int traps) { (void)traps; }

"""Files of recorded outcomes. Imported only when one is read: everything here needs numpy."""

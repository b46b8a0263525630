"""Opens Parquet files, local or in object storage.

In: the location of a file. Out: an open file, whose row groups can be read in any order. Next:
``poise.data.dataset``, ``poise.data.annotations``, and sources of Parquet files.
"""

import pyarrow.parquet as pq

from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.outages import cannot_be_read


def parquet_file(place: Location) -> pq.ParquetFile:
    """Opens a Parquet file and reads its footer.

    A local file is mapped into memory. From a file in a storage, only the requested columns of the
    requested row groups are read. One request reads neighbouring columns together.

    Raises:
        OSError: the file cannot be read.
        pyarrow.ArrowException: the file is no Parquet file.
        PoiseError: the storage does not answer, or does not have the file.
    """
    if place.is_local:
        return pq.ParquetFile(place.local, memory_map=True)
    system, path = place.connect()
    try:
        return pq.ParquetFile(path, filesystem=system, pre_buffer=True)
    except OSError as error:
        raise place.recognised(error) or error from None


def unreadable(place: Location, error: Exception, what: str = "") -> PoiseError:
    """Makes the error for a dataset's file that a library could not read.

    Args:
        place: location of the file.
        error: error that the library raised.
        what: the part of the file that was read, if not all of it.
    """
    fix = "copy the dataset again or run `poise data prepare` again"
    return cannot_be_read(place, error, fix, what)

"""SharePoint: what the dispatcher's adapter needs of the REST service (`/_api`), OData v3 JSON.

Published pages are the measure (README names them). It refuses what it does not stand in for with
a SharePoint-shaped error; it never invents a success.
"""

"""The measure: J and F of the whole product on labelled clips, with simulated clicks or in the official protocol.

datasets -> clicks -> the product -> metrics -> report: each word but the third is a file, `scoring` joins them.
"""

// SPDX-License-Identifier: Apache-2.0
// What of the virtual PC cannot be found by asking: the PCI bus, the clock, the serial port, and how to switch off.
DefinitionBlock ("", "DSDT", 2, "POLYVI", "POLYVISR", 1)
{
    Name (\_S5, Package () { 5, 5, 0, 0 })

    // Which interrupt controllers the system uses: 0 is the PIC.
    Name (PICM, 0)
    Method (\_PIC, 1) { PICM = Arg0 }

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0000, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xC0000000, 0xFEBFFFFF, 0, 0x3EC00000)
            })

            // INTA of devices 1 to 7: inputs of the I/O APIC, or of the PIC.
            Name (APIR, Package ()
            {
                Package () { 0x0001FFFF, 0, 0, 17 },
                Package () { 0x0002FFFF, 0, 0, 18 },
                Package () { 0x0003FFFF, 0, 0, 19 },
                Package () { 0x0004FFFF, 0, 0, 20 },
                Package () { 0x0005FFFF, 0, 0, 21 },
                Package () { 0x0006FFFF, 0, 0, 22 },
                Package () { 0x0007FFFF, 0, 0, 23 }
            })
            Name (PICR, Package ()
            {
                Package () { 0x0001FFFF, 0, 0, 11 },
                Package () { 0x0002FFFF, 0, 0, 10 },
                Package () { 0x0003FFFF, 0, 0, 11 },
                Package () { 0x0004FFFF, 0, 0, 10 },
                Package () { 0x0005FFFF, 0, 0, 11 },
                Package () { 0x0006FFFF, 0, 0, 10 },
                Package () { 0x0007FFFF, 0, 0, 11 }
            })
            Method (_PRT, 0)
            {
                If (PICM) { Return (APIR) }
                Return (PICR)
            }
        }

        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 1, 2)
                IRQNoFlags () { 8 }
            })
        }

        // Where the kernel tells of a panic.
        Device (PEVT)
        {
            Name (_HID, "QEMU0001")
            Name (_STA, 0x0F)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0505, 0x0505, 1, 1)
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                IRQNoFlags () { 4 }
            })
        }
    }
}
